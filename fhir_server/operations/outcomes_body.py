"""A child's outcome as it is kept: JSON of the engine's value, rules by their ids.

What a rule says stands in the measure, and is put back when an outcome is read; a kept outcome is read
only by the generation of definitions that it was found by.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cache
from typing import Any, get_type_hints

import msgspec

from fhir_server.store.outcomes import Kept
from outcome_engine import ChildOutcome, Finding, NotAssessable, Period, may_begin_in
from r4.json import Resource

_NOT_TOLD = ("as_of", "statement", "evidence", "findings", "used", "facts")
"""What of an outcome no summary tells."""
_PUT_BACK = ("findings", "parameters")
"""What is kept in another form, and what is the same for all children of a measure."""


def kept(
    outcome: ChildOutcome | NotAssessable, cases: Sequence[Resource], about: Mapping[str, Any]
) -> Kept:
    """Return an outcome as it is kept; about: measure, child, generation, position and as_of.

    cases: the child's, as `outcome_engine.cases` lists them; of a child who cannot be assessed the
    beginnings are kept, by which a period is told to be the child's.
    """
    if isinstance(outcome, NotAssessable):
        starts = [case.get("period", {}).get("start", "") for case in cases]
        said = {"case": outcome.case, "hospital": outcome.hospital, "reason": outcome.reason}
        body = msgspec.json.encode({**said, "starts": starts})
        case_id = outcome.case.rpartition("/")[2]
        return Kept(
            case_id=case_id, hospital=outcome.hospital, case_date="", outcome_class=None,
            score=None, body=body, **about,
        )  # fmt: skip
    built = {
        name: _built(getattr(outcome, name))
        for name in _types(ChildOutcome)
        if name not in _PUT_BACK
    }
    built["findings"] = [
        {
            name: each.rule.id if name == "rule" else _built(getattr(each, name))
            for name in _types(Finding)
        }
        for each in outcome.findings
    ]
    return Kept(
        case_id=outcome.case.rpartition("/")[2],
        hospital=outcome.hospital,
        case_date=outcome.case_date,
        outcome_class=outcome.outcome_class,
        score=outcome.facts.get("score"),
        body=msgspec.json.encode(built),
        **about,
    )


def _built(value: Any) -> Any:
    return msgspec.to_builtins(value, order="deterministic", enc_hook=_written)


def _written(value: object) -> str:
    if isinstance(value, Fraction):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON")


def _read(kind: type, written: str) -> Fraction:
    if kind is Fraction:
        return Fraction(written)
    raise TypeError(f"{kind.__name__} has no JSON")


def outcome(
    found: Kept, rules: Mapping[str, Any], parameters: Any = None
) -> ChildOutcome | NotAssessable:
    """Return the engine's value of a kept outcome; rules: what each says, by its id.

    parameters: the file that the measure is computed with, None where it needs none.
    """
    built = msgspec.json.decode(found.body)
    if found.outcome_class is None and "starts" in built:
        return NotAssessable(built["case"], built["hospital"], built["reason"])
    findings = tuple(
        Finding(rule=rules[each.pop("rule")], **_converted(each, Finding))
        for each in built.pop("findings")
    )
    facts = {
        name: frozenset(value) if isinstance(value, list) else value
        for name, value in built.pop("facts").items()
    }
    values = _converted(built, ChildOutcome)
    return ChildOutcome(findings=findings, facts=facts, parameters=parameters, **values)


def _converted(built: Mapping[str, Any], kind: type) -> dict[str, Any]:
    """Return fields of a dataclass of the engine from their JSON."""
    types = _types(kind)
    return {
        name: msgspec.convert(value, types[name], dec_hook=_read) for name, value in built.items()
    }


@cache
def _types(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def may_be_in(found: Kept, period: Period) -> bool:
    """Tell whether an outcome is of a period, or may be: of a child who cannot be assessed, by its cases."""
    if found.outcome_class is not None:
        return period.start <= found.case_date <= period.end
    starts = msgspec.json.decode(found.body)["starts"]
    return may_begin_in([{"period": {"start": start}} for start in starts], period)


def told(found: Kept) -> dict[str, Any]:
    """Return what a summary may tell of an outcome: two that are alike leave every summary as it is."""
    built: dict[str, Any] = msgspec.json.decode(found.body)
    return {name: value for name, value in built.items() if name not in _NOT_TOLD}
