"""Whether a resource is what the FHIR R4 definitions and its profiles say, and where not, as issues.

https://hl7.org/fhir/R4/validation.html
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from profiles.compile import Checks, checks, declared
from profiles.findings import Path, Resolve, Run, TooManyFindingsError
from profiles.references import in_bundle
from r4 import artefacts
from r4.definitions.catalogue import Catalogue
from r4.issue import Issue, Severity
from r4.json import Resource
from terminology import Terminology

_OURS = ("profiles", "questionnaires", "outcome_engine")


@cache
def own_structures() -> Catalogue:
    """Return the registry's own definitions over those of R4."""
    return Catalogue.of(_structures())


def _structures() -> Iterator[Resource]:
    for package in _OURS:
        yield from artefacts.by_url(package, "StructureDefinition").values()


@dataclass(frozen=True, slots=True)
class Options:
    """What is checked besides the definition of the type, and how.

    profiles: canonicals to check besides those in meta.profile; one that is unknown is an error.
    structures: where profiles and extensions are found. warnings: without them only what refuses the
    resource is looked for, which is quicker. nhs_severity: that of the rule `csor-nhs-number`, None to
    leave it out. resolve: from the text of a reference to the resource, for what depends on it.
    """

    profiles: tuple[str, ...] = ()
    structures: Catalogue = field(default_factory=own_structures)
    warnings: bool = True
    nhs_severity: Severity | None = "error"
    resolve: Resolve | None = None


@cache
def _usual() -> Options:
    return Options()


def validate(
    resource: Resource,
    terminology: Terminology,
    *,
    now: str | None = None,
    options: Options | None = None,
) -> list[Issue]:
    """Validate a resource against its type, its profiles and those asked for; nothing says all is well.

    Structure, cardinality, primitive values, choices, slices, fixed values and patterns, contained and
    embedded resources, extensions, bindings, reference targets, invariants, and the registry's rules.
    Each issue carries a FHIRPath expression, the id of its rule, and the profile whose rule it is.
    `now` is what now() answers, and what dates are held to.
    """
    asked = options or _usual()
    found = checks(terminology, asked.structures, asked.nhs_severity, asked.warnings)
    type_name = _type_name(resource)
    resolve = asked.resolve
    if type_name == "Bundle":
        resolve = in_bundle(resource, resolve)
    run = Run(resource, resource, now, around=found.shelf, resolve=resolve)
    path: Path = (None, type_name, None)
    try:
        found.resource(resource, path, run)
        if asked.profiles:
            _ask(asked.profiles, found, path, run)
    except TooManyFindingsError:
        pass
    except RecursionError:
        run.issues.append(
            Issue("error", "too-costly", "The resource is nested too deeply.", path[1], "depth")
        )
    return run.issues


def _ask(profiles: tuple[str, ...], found: Checks, path: Path, run: Run) -> None:
    applied = declared(run.resource)
    for profile in profiles:
        if profile in applied and found.shelf.find(profile) is not None:
            continue
        if not found.shelf.apply(profile, run.resource, path, run):
            said = f"The profile {profile} is not known here: correct its url, or have it loaded."
            run.report("error", "not-found", said, path, "profile-unknown")


def _type_name(resource: Any) -> str:
    name = resource.get("resourceType") if isinstance(resource, dict) else None
    return name if isinstance(name, str) and name.isidentifier() else "Resource"
