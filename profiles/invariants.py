"""The rules of definitions (`ElementDefinition.constraint`), as functions on an element's JSON.

They are FHIRPath, run by `r4.fhirpath`; those that nearly every resource meets are written by hand
in `profiles.by_hand`, and a test holds the two to the same answers on the standard's examples.
https://hl7.org/fhir/R4/conformance-rules.html#constraints
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from profiles.by_hand import BY_HAND, NEEDS, Holds
from profiles.findings import Check, Path, Resolve, Run
from r4 import fhirpath, reference
from r4.issue import FhirError, Severity, error
from r4.json import Resource

ENFORCED_ELSEWHERE = frozenset({"ele-1", "sqty-1", "txt-1", "txt-2"})
"""What the structure (no empty objects, no comparator) and `profiles.narrative` see to."""

BEST_PRACTICE = frozenset({"dom-6"})
"""Advice on authoring, not a rule: most resources that systems exchange carry no narrative."""


@dataclass(frozen=True, slots=True)
class Invariant:
    """One rule: whether it holds on an element, and what is reported where it does not.

    needs: the property without which it always holds, and need not be asked.
    """

    holds: Holds
    rule: str
    human: str
    severity: Severity = "error"
    code: str = "invariant"
    needs: str | None = None


def together(invariants: tuple[Invariant, ...]) -> Check:
    """Compile invariants into one check; where all hold, which is usual, nothing else is asked."""
    all_that_hold = tuple(invariant.holds for invariant in invariants)

    def check(value: Any, path: Path, run: Run) -> None:
        try:
            for holds in all_that_hold:
                if not holds(value, run):
                    break
            else:
                return
        except FhirError:  # said below, with its rule
            pass
        _report(invariants, value, path, run)

    return check


def by_need(invariants: Iterable[Invariant]) -> Check | None:
    """Compile invariants into a check that asks those whose property is there; None for none."""
    needing: dict[str | None, list[Invariant]] = {}
    for invariant in invariants:
        needing.setdefault(invariant.needs, []).append(invariant)
    asked = [_where_needed(name, together(tuple(those))) for name, those in needing.items()]
    if len(asked) < 2:  # noqa: PLR2004 - which most types have
        return asked[0] if asked else None

    def check(value: Any, path: Path, run: Run) -> None:
        for each in asked:
            each(value, path, run)

    return check


def _where_needed(name: str | None, rule: Check) -> Check:
    def check(value: Any, path: Path, run: Run) -> None:
        if name in value:
            rule(value, path, run)

    return rule if name is None else check


def _report(invariants: tuple[Invariant, ...], value: Any, path: Path, run: Run) -> None:
    for invariant in invariants:
        try:
            if not invariant.holds(value, run):
                said = f"{invariant.human.rstrip('.')} ({invariant.rule})."
                run.report(invariant.severity, invariant.code, said, path, invariant.rule)
        except FhirError as failed:
            said = f"The rule {invariant.rule} could not be checked: {failed}"
            run.report("warning", "processing", said, path, invariant.rule)


def of_element(constraints: tuple[Resource, ...], type_code: str) -> tuple[Invariant, ...]:
    """Compile the constraints on an element, without those its type repeats on every element."""
    own = [each for each in constraints if each["key"] != "ext-1"]
    return tuple(_invariants(own, type_code))


def of_type(constraints: tuple[Resource, ...], type_code: str) -> tuple[Invariant, ...]:
    """Compile the constraints on the whole of a type."""
    return tuple(_invariants(constraints, type_code))


def of_profile(constraints: Iterable[Resource], type_code: str) -> tuple[Invariant, ...]:
    """Compile the constraints that a profile adds to an element."""
    return tuple(
        Invariant(_of_profile(each, type_code), each["key"], each["human"], each["severity"])
        for each in constraints
        if each["key"] not in ENFORCED_ELSEWHERE
        and each["key"] not in BEST_PRACTICE
        and "expression" in each
    )


def _of_profile(constraint: Resource, type_code: str) -> Holds:
    try:
        return by_fhirpath(constraint, type_code)
    except FhirError as refused:
        unreadable = refused  # the language unbinds `refused` itself

        def holds(_value: Any, _run: Run) -> bool:
            raise unreadable

        return holds


def _invariants(
    constraints: tuple[Resource, ...] | list[Resource], type_code: str
) -> Iterator[Invariant]:
    for constraint in constraints:
        key = constraint["key"]
        if key not in ENFORCED_ELSEWHERE and key not in BEST_PRACTICE:
            by_hand = BY_HAND.get(key) or BY_HAND.get(f"{type_code}/{key}")
            holds = by_hand or by_fhirpath(constraint, type_code)
            needs = None if by_hand is None else NEEDS.get(key)
            yield Invariant(holds, key, constraint["human"], constraint["severity"], needs=needs)


def by_fhirpath(constraint: Resource, type_code: str) -> Holds:
    """Compile a constraint's expression.

    An error holds only where the answer is true; a warning holds where it is not false, so that an
    absent name is not said to be badly formed.
    """
    compiled = fhirpath.compile(constraint["expression"])
    needs_true = constraint["severity"] == "error"

    def holds(value: Any, run: Run) -> bool:
        if needs_true:
            return compiled.is_true(value, _environment(run), type=type_code)
        return compiled(value, _environment(run), type=type_code) != [False]

    return holds


def _environment(run: Run) -> fhirpath.Environment:
    if run.environment is None:
        run.environment = fhirpath.Environment(
            resource=run.resource,
            root_resource=run.root,
            now=run.now,
            resolve=None if run.resolve is None else partial(_resolved, run.resolve),
            member_of=partial(_is_member, run),
            conforms_to=partial(_conforms, run),
        )
    return run.environment


def _resolved(resolve: Resolve, text: str) -> Resource | None:
    """Return the resource, or as much of it as the reference says."""
    literal = reference.literal(text)
    stub = None if literal is None else {"resourceType": literal.type, "id": literal.id}
    return resolve(text) or stub


def _is_member(run: Run, value: Any, value_set_url: str) -> bool:
    answer = None if run.around is None else run.around.is_member(value, value_set_url)
    if answer is None:
        said = f"Whether a code is in {value_set_url} cannot be told here."
        raise FhirError(422, [error("not-supported", said)])
    return answer


def _conforms(run: Run, value: Any, canonical: str) -> bool:
    answer = None if run.around is None else run.around.conforms(value, canonical, run)
    if answer is None:
        raise FhirError(422, [error("not-found", f"The profile {canonical} is not known here.")])
    return answer
