"""The profiles that are known, each compiled once, when it is first met.

https://hl7.org/fhir/R4/profiling.html
"""

from dataclasses import dataclass, field
from threading import RLock
from typing import Any

from profiles import bindings
from profiles.findings import Check, Path, Run, TooManyFindingsError
from profiles.profile import compile_profile
from profiles.snapshot import snapshot
from profiles.tree import Node, nodes
from r4.definitions import CORE
from r4.definitions.catalogue import Catalogue
from r4.issue import FhirError
from r4.json import Resource
from terminology import Terminology

IMPOSE = f"{CORE}structuredefinition-imposeProfile"
_MOST_ABSENT = 1000


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """One definition: its canonical, the type it is for, its check, and what else it demands.

    `problem` says why its own rules are not checked; None where they are.
    """

    canonical: str
    structure: Resource
    check: Check | None
    imposed: tuple[str, ...]
    is_modifier: bool = False
    problem: str | None = None

    @property
    def type(self) -> str:
        """Return the type it is for."""
        return str(self.structure["type"])

    @property
    def contexts(self) -> tuple[Resource, ...]:
        """List where an extension may stand (StructureDefinition.context)."""
        return tuple(self.structure.get("context", ()))


@dataclass(frozen=True, slots=True, eq=False)
class Shelf:
    """Compiled profiles under one terminology and one catalogue of definitions."""

    terminology: Terminology
    structures: Catalogue
    warnings: bool
    _compiled: dict[str, Profile] = field(default_factory=dict)
    _absent: set[str] = field(default_factory=set)
    _lock: RLock = field(default_factory=RLock)

    def find(self, canonical: str) -> Profile | None:
        """Return a definition by its canonical, compiled; None where it is not known here."""
        if (found := self._compiled.get(canonical)) is not None:
            return found
        if canonical in self._absent:
            return None
        with self._lock:
            structure = self.structures.find("StructureDefinition", canonical)
            if structure is None:
                if len(self._absent) >= _MOST_ABSENT:  # these come from users: they do not pile up
                    self._absent.clear()
                self._absent.add(canonical)
                return None
            return self._compiled.setdefault(canonical, self._profile(structure))

    def apply(self, canonical: str, value: Any, path: Path, run: Run) -> bool:
        """Check a resource against a profile and those it imposes; False where it is not known."""
        profile = self.find(canonical)
        if profile is None:
            return False
        self._apply(profile, value, path, run, {profile.canonical})
        return True

    def conforms(self, value: Any, canonical: str, run: Run) -> bool | None:
        """Tell whether a value conforms to a profile; None where that is not known here.

        A question that is asked again while it is being answered is answered with yes.
        """
        question = (id(value), canonical)
        if question in run.asked:
            return True
        profile = self.find(canonical)
        if profile is None or profile.problem is not None:
            return None
        trial = run.apart(question)
        path: Path = (None, profile.type, None)
        if isinstance(value, dict) and "resourceType" in value:
            trial.resource = value
        try:
            self._apply(profile, value, path, trial, {profile.canonical})
        except TooManyFindingsError:
            return False
        return not any(issue.is_error for issue in trial.issues)

    def is_member(self, value: Any, value_set_url: str) -> bool | None:
        """Tell whether a code, Coding or CodeableConcept is in a value set; None where undecided."""
        return bindings.is_member(self.terminology, value, value_set_url)

    def type_of(self, canonical: str) -> str | None:
        """Return the type that a profile is for; None where it is not known here."""
        structure = self.structures.find("StructureDefinition", canonical)
        return None if structure is None else str(structure["type"])

    def root(self, canonical: str) -> Node | None:
        """Return the first element of a profile's snapshot; None where there is none."""
        structure = self.structures.find("StructureDefinition", canonical)
        try:
            whole = None if structure is None else self._whole(structure)
        except FhirError:
            return None
        return None if whole is None else next(iter(nodes(whole["snapshot"]["element"]).values()))

    def _apply(self, profile: Profile, value: Any, path: Path, run: Run, applied: set[str]) -> None:
        run = run.under(profile.canonical)
        found = value.get("resourceType") if isinstance(value, dict) else None
        if found is not None and profile.type not in (found, "DomainResource", "Resource"):
            said = f"{profile.canonical} is for {profile.type}, and this is {found}: leave it out."
            run.report("error", "structure", said, path, "profile-type")
            return
        if profile.problem is not None:
            self._warn(profile.problem, path, run)
        if profile.check is not None:
            profile.check(value, path, run)
        for canonical in profile.imposed:
            imposed = self.find(canonical)
            if imposed is None:
                said = (
                    f"{canonical}, which {profile.canonical} imposes, is not loaded: not checked."
                )
                self._warn(said, path, run)
            elif imposed.canonical not in applied:
                applied.add(imposed.canonical)
                self._apply(imposed, value, path, run, applied)

    def _warn(self, said: str, path: Path, run: Run) -> None:
        if self.warnings:
            run.report("warning", "not-found", said, path, "profile-not-loaded")

    def _profile(self, structure: Resource) -> Profile:
        version = structure.get("version")
        canonical = f"{structure['url']}|{version}" if version else structure["url"]
        if structure.get("derivation") != "constraint":
            return Profile(canonical, structure, None, ())
        imposed = tuple(_imposed(structure))
        try:
            whole = self._whole(structure)
        except FhirError as refused:
            said = f"The profile {canonical} cannot be applied, so it was not checked: {refused}"
            return Profile(canonical, structure, None, imposed, problem=said)
        is_modifier = whole["snapshot"]["element"][0].get("isModifier") is True
        return Profile(canonical, structure, compile_profile(whole, self), imposed, is_modifier)

    def _whole(self, structure: Resource) -> Resource:
        return structure if "snapshot" in structure else snapshot(structure, self._structure)

    def _structure(self, canonical: str) -> Resource | None:
        return self.structures.find("StructureDefinition", canonical)


def _imposed(structure: Resource) -> list[str]:
    extensions = structure.get("extension", ())
    imposing = (e for e in extensions if e.get("url") == IMPOSE and "valueCanonical" in e)
    return [e["valueCanonical"] for e in imposing]
