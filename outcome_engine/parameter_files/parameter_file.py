"""Signed, versioned parameter files: which one a measure is computed with, and why one is refused.

A file is refused as a whole, by name (`REFUSALS`), and a measure that needs one with it.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from outcome_engine.extensions import several
from outcome_engine.parameter_files.form import CodeList, Form
from outcome_engine.parameter_files.signature import RefusedError, Signatories, Signed, verified
from outcome_engine.parameter_files.treatment_success import TreatmentSuccessFile
from r4.issue import FhirError, Issue, error
from r4.json import Resource, decode

REFUSALS = MappingProxyType(
    {
        "absent": "no file is there for the measure",
        "unreadable": "the file is not one JSON object, or a name in it stands twice",
        "unsigned": "the file carries no signature",
        "algorithm-none": "the signature says `alg: none`",
        "algorithm": "the signature is by an algorithm that is not taken",
        "malformed": "the signature is no detached JWS, or its day is missing",
        "unknown-key": "the key is not in the file of signatories",
        "key-not-yet-valid": "the key was not valid yet on the day of signing",
        "key-expired": "the key was not valid any more on the day of signing",
        "tampered": "the content is not what was signed",
        "incomplete": "something that the file must hold is missing",
        "inconsistent": "what the file holds contradicts itself, or has not the form",
        "check-not-reproduced": "the engine computes something else than the signatories expect",
        "wrong-measure-version": "the file is for another version of the measure",
        "signed-in-future": "the file was signed after the date of the report",
        "not-yet-valid": "the file is valid from a day after the date of the report",
        "expired": "the file was valid until a day before the date of the report",
        "ambiguous": "two files of one version differ",
    }
)
"""Every reason why a file is refused; an Issue's rule is `parameters-` and the name."""
_PASSED_OVER = frozenset({"wrong-measure-version", "signed-in-future", "not-yet-valid", "expired"})
"""Why a file is not the one that is asked for, though nothing is wrong with it."""
_MISSING = frozenset({"missing", "too_short", "string_too_short"})

F = TypeVar("F", bound=Form)


@dataclass(frozen=True)
class ParameterFile(Generic[F]):
    """A file that was accepted: its content, whose signature it carries, and the file's name."""

    name: str
    content: F
    signed: Signed

    @property
    def version(self) -> str:
        """The version of the parameters."""
        return self.content.version

    @property
    def digest(self) -> str:
        """The SHA-256 (hex) of what was signed, by which a report names the parameters."""
        return self.signed.digest

    @property
    def fictitious(self) -> bool:
        """Whether the values are made up, so that all that is made of them is illustrative."""
        return self.content.fictitious

    def literals(self) -> Mapping[str, str]:
        """Map each name that a definition may use as `%name` to a FHIRPath literal."""
        return self.content.literals()

    def code_lists(self) -> Mapping[str, CodeList]:
        """Map each name that a definition may use as `memberOf('#name')` to its codes."""
        return self.content.code_lists()

    def scoring_facts(self) -> tuple[tuple[str, str], ...]:
        """Return the facts, as (id, expression), that a score adds to its definition's."""
        return self.content.scoring_facts()


class Parameters:
    """The files that are there, and who may sign them; each is checked when it is first asked for."""

    def __init__(
        self,
        contents: Mapping[str, bytes] = MappingProxyType({}),
        signatories: Signatories | None = None,
    ) -> None:
        self._signatories = signatories or Signatories()
        self._contents = dict(contents)
        self._found: dict[tuple[str, str, str], ParameterFile[Any]] = {}

    @classmethod
    def load(cls, folders: Iterable[Path | Traversable], signatories: Path | None) -> "Parameters":
        """Read the files of folders (`*.json`, not of folders within) and the file of signatories.

        Raises OSError for what cannot be read, and ValueError for a faulty file of signatories.
        """
        contents = {str(file): file.read_bytes() for folder in folders for file in _json(folder)}
        return cls(contents, Signatories.load(signatories))

    @property
    def signatories(self) -> Signatories:
        """Who may sign."""
        return self._signatories

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        return iter(self._contents.items())

    def now(self) -> "Parameters":
        """Return the parameters of this moment: these, which stay as they are."""
        return self

    def of(self, measure: Resource, as_of: str) -> ParameterFile[Any] | None:
        """Return the parameters of a measure on the date of a report (YYYY-MM-DD): the newest valid.

        None for a measure that needs none. Raises FhirError 422 where there is none, and where any
        file of the measure has a fault, naming each; 400 where as_of is no date.
        """
        if not several(measure, "outcome-parameters"):
            return None
        found = self.of_kind(TreatmentSuccessFile, measure, as_of)
        if found is None:
            raise FhirError(422, _absent(measure, bool(self._contents)))
        return found

    def of_kind(self, form: type[F], measure: Resource, as_of: str) -> ParameterFile[F] | None:
        """Return the newest valid file of a kind (a Form) for a measure, None where there is none.

        Raises FhirError as `of` does.
        """
        day = _full(as_of)
        known = (form.__name__, f"{measure['url']}|{measure['version']}", str(day))
        if known not in self._found:
            found = self._newest(form, measure, day)
            if found is None:
                return None
            self._found[known] = found
        return self._found[known]

    def _newest(self, form: type[F], measure: Resource, day: date) -> ParameterFile[F] | None:
        accepted: list[ParameterFile[F]] = []
        refused: list[tuple[str, RefusedError]] = []
        for name, content in self._contents.items():
            if not _concerns(content, form, measure):
                continue
            result = accept(name, content, form, measure, self.signatories, day)
            if isinstance(result, ParameterFile):
                accepted.append(result)
            else:
                refused += [(name, each) for each in result]
        if faults := [each for each in refused if each[1].rule not in _PASSED_OVER]:
            refused = faults
        elif accepted:
            return _latest(accepted)
        if not refused:
            return None
        raise FhirError(422, [_issue(name, each) for name, each in refused])


NONE = Parameters()
"""No parameters: every measure that needs them is refused."""


def known(folder: Path | None, signatories: Path | None) -> Parameters:
    """Return the parameters that are carried, and those of an operator's folder.

    Raises OSError and ValueError as `Parameters.load` does.
    """
    carried = files("outcome_engine") / "parameters"
    return Parameters.load([carried] if folder is None else [carried, folder], signatories)


def refuse_without_parameters(
    measure: Resource, parameters: Parameters = NONE, as_of: str = "9999-12-31"
) -> None:
    """Refuse a measure that needs parameters that are not there; return for one that needs none.

    Raises FhirError 422 as `Parameters.of` does.
    """
    parameters.of(measure, as_of)


def accept(
    name: str,
    content: bytes,
    form: type[F],
    measure: Resource,
    signatories: Signatories,
    day: date,
) -> ParameterFile[F] | list[RefusedError]:
    """Check a file in every respect, as on the date of a report; returns it, or all that is wrong."""
    try:
        given = read(content)
    except ValueError as wrong:
        return [RefusedError("unreadable", f"is no JSON object: {wrong}")]
    problems: list[RefusedError] = []
    signed: Signed | None = None
    try:
        signed = verified(given, signatories)
    except RefusedError as refusal:
        problems.append(refusal)
    try:
        found = form.model_validate(given)
    except ValidationError as failure:
        known = {"unsigned"} if problems else set()
        return problems + list(_of_form(failure, _needed(measure), known))
    problems += found.objections()
    problems += _timely(found, measure, signed, day)
    if problems or signed is None:
        return problems
    return ParameterFile(name, found, signed)


def read(content: bytes) -> Resource:
    """Read a JSON object as it was written; raises ValueError where a name in it stands twice."""
    json.loads(content, object_pairs_hook=_once)
    found = decode(content)
    if not isinstance(found, dict):
        raise ValueError("it is something else")  # noqa: TRY004 - said of the text, not of a type
    return found


def _timely(
    found: Form, measure: Resource, signed: Signed | None, day: date
) -> Iterator[RefusedError]:
    canonical = f"{measure['url']}|{measure['version']}"
    if found.measure != canonical:
        text = f"is for measure `{found.measure}`, not for `{canonical}`"
        yield RefusedError("wrong-measure-version", text)
    if signed is not None and signed.on > day:
        text = f"was signed on {signed.on}, after the date of the report, {day}"
        yield RefusedError("signed-in-future", text)
    if found.valid_from > day:
        text = f"is valid from {found.valid_from}, after the date of the report, {day}"
        yield RefusedError("not-yet-valid", text)
    if found.valid_until < day:
        text = f"was valid until {found.valid_until}, before the date of the report, {day}"
        yield RefusedError("expired", text)


def _of_form(
    failure: ValidationError, needed: Mapping[str, str], told: set[str]
) -> Iterator[RefusedError]:
    for problem in failure.errors(include_url=False, include_context=False):
        steps = [str(step) for step in problem["loc"]]
        if "unsigned" in told and steps[:1] == ["signature"]:
            continue
        meaning = needed.get(steps[-1]) if steps else None
        rule = "incomplete" if problem["type"] in _MISSING else "inconsistent"
        text = f"is not accepted: `{'.'.join(steps)}`: {problem['msg']}"
        yield RefusedError(rule, text + (f" ({meaning})" if meaning else ""))


def _latest(accepted: list[ParameterFile[F]]) -> ParameterFile[F]:
    def order(file: ParameterFile[F]) -> tuple[int, ...]:
        return tuple(map(int, file.version.split(".")))

    newest = max(accepted, key=order)
    for other in accepted:
        if order(other) == order(newest) and other.digest != newest.digest:
            text = f"has version {other.version}, as `{newest.name}` has, and other content"
            raise FhirError(422, [_issue(other.name, RefusedError("ambiguous", text))])
    return newest


def _concerns(content: bytes, form: type[Form], measure: Resource) -> bool:
    """Tell whether a file is, or may be meant to be, one of a kind for a measure, in any version."""
    try:
        given = read(content)
    except ValueError:
        return True
    kind = form.model_fields["kind"].annotation
    kinds = getattr(kind, "__args__", ())
    return given.get("kind") in kinds and (
        str(given.get("measure", "")).partition("|")[0] in ("", measure["url"])
    )


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {twice!r} stands twice in one object")
    return found


def _absent(measure: Resource, is_other: bool) -> list[Issue]:
    title = measure["title"]
    rule = "parameters-absent"
    where = "None of the files there is for it" if is_other else "No file is there"
    first = (
        f"`{title}` is not computed: its parameter file `{_name(measure)}` is absent. {where} "
        "(outcome_engine/parameters, and the folder of CSOR_PARAMETERS). It must hold what the "
        "following issues name, checks, the flag `fictitious` and a signatory's signature: see "
        "docs/parameters.md."
    )
    return [
        error("not-supported", first, rule=rule),
        *(
            error("not-supported", f"Missing parameter `{name}`: {meaning}.", rule=rule)
            for name, meaning in _needed(measure).items()
        ),
    ]


def _issue(name: str, refusal: RefusedError) -> Issue:
    text = f"The parameter file `{Path(name).name}` {refusal.text}."
    return error("business-rule", text, rule=f"parameters-{refusal.rule}")


def _needed(measure: Resource) -> dict[str, str]:
    return {
        part["valueCoding"]["code"]: part["valueCoding"]["display"]
        for needed in several(measure, "outcome-parameters")
        for part in needed["extension"]
        if part["url"] == "parameter"
    }


def _name(measure: Resource) -> str:
    """Return what a measure's file is called by custom; any name will do."""
    [needed] = several(measure, "outcome-parameters")
    return next(str(p["valueString"]) for p in needed["extension"] if p["url"] == "file")


def _json(folder: Path | Traversable) -> list[Path | Traversable]:
    found = [each for each in folder.iterdir() if each.is_file() and each.name.endswith(".json")]
    return sorted(found, key=lambda each: each.name)


def _full(as_of: str) -> date:
    try:
        return date.fromisoformat(as_of[:10])
    except ValueError:
        message = f"`{as_of}` is not a full date (YYYY-MM-DD)."
        raise FhirError(400, [error("value", message)]) from None
