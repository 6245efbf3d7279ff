"""Our FHIRPath engine beside fhirpathpy: R4's search parameters over R4's own examples.

`python -m benchmarks.fhirpath`: both compile each expression once and evaluate it on the same
resources in the same process. An evaluation counts only where both find as many things.
"""

import importlib
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from r4 import definitions, fhirpath
from r4.definitions import build
from r4.json import Resource

Evaluate = Callable[[Resource], list[Any]]

EXAMPLES = 12
"""Of each type, in the order of the package: conformance resources would outnumber all others."""
ROUNDS = 3
TARGET = 10.0
LISTED = 12


@dataclass
class Pair:
    """One expression compiled by both engines, and the resources that both find as much in."""

    expression: str
    ours: Evaluate
    theirs: Evaluate
    agreed: list[Resource] = field(default_factory=list)


class Differing(NamedTuple):
    """An evaluation on which the engines differ: how many things each found, or what it raised."""

    expression: str
    ours: str
    theirs: str


@dataclass
class Found:
    """Seconds of both engines over the evaluations of one type, and how many there were."""

    ours: float
    theirs: float
    evaluations: int

    @property
    def ratio(self) -> float:
        return self.theirs / self.ours


def main() -> None:
    """Print microseconds per evaluation of both engines, by type and over all, and their ratio."""
    other = _fhirpathpy()
    if other is None:
        print(
            "skipped: fhirpathpy is not installed (it is in the dev extra: pip install fhirpathpy)"
        )
        return
    differing: list[Differing] = []
    found = {
        type: _timed(_compared(type, resources, other, differing))
        for type, resources in sorted(_examples().items())
    }
    found = {type: each for type, each in found.items() if each.evaluations}
    _print_types(found)
    _print_differing(differing)


def _fhirpathpy() -> Callable[[str], Evaluate] | None:
    try:
        engine = importlib.import_module("fhirpathpy")
        model = importlib.import_module("fhirpathpy.models").models["r4"]
    except ImportError:
        return None
    return lambda expression: engine.compile(expression, model)


def _examples() -> dict[str, list[Resource]]:
    """Return the first examples of each type, without the bundles' and definitions' multitude."""
    found: defaultdict[str, list[Resource]] = defaultdict(list)
    for resource in build.resources(build.fetch(build.DOWNLOADS)):
        if len(found[resource["resourceType"]]) < EXAMPLES:
            found[resource["resourceType"]].append(resource)
    return found


def expressions(type: str) -> Iterator[str]:
    """Yield the expressions of the search parameters of a type as R4 writes them, each once."""
    bases = {type, "Resource", "DomainResource"}
    stated = (
        parameter["expression"]
        for parameter in definitions.every("SearchParameter")
        if "expression" in parameter and bases.intersection(parameter["base"])
    )
    yield from dict.fromkeys(stated)


def _compared(
    type: str,
    resources: Iterable[Resource],
    other: Callable[[str], Evaluate],
    differing: list[Differing],
) -> list[Pair]:
    """Compile the expressions of a type and sort out, and note, where the engines do not agree."""
    pairs = []
    for expression in expressions(type):
        pair = Pair(expression, fhirpath.compile(expression), other(expression))
        for resource in resources:
            ours, theirs = _count(pair.ours, resource), _count(pair.theirs, resource)
            if ours == theirs:
                pair.agreed.append(resource)
            else:
                differing.append(Differing(expression, ours, theirs))
        pairs.append(pair)
    return pairs


def _count(evaluate: Evaluate, resource: Resource) -> str:
    try:
        return str(len(evaluate(resource)))
    except Exception as problem:
        return type(problem).__name__


def _timed(pairs: list[Pair]) -> Found:
    evaluations = sum(len(pair.agreed) for pair in pairs)
    ours = min(_seconds((pair.ours, pair.agreed) for pair in pairs) for _ in range(ROUNDS))
    theirs = _seconds((pair.theirs, pair.agreed) for pair in pairs)
    return Found(ours, theirs, evaluations)


def _seconds(work: Iterable[tuple[Evaluate, list[Resource]]]) -> float:
    listed = list(work)
    began = time.perf_counter()
    for evaluate, resources in listed:
        for resource in resources:
            evaluate(resource)
    return time.perf_counter() - began


def _print_types(found: dict[str, Found]) -> None:
    print(f"{'type':<34}{'evaluations':>12}{'ours us':>9}{'fhirpathpy us':>15}{'ratio':>7}")
    for type, each in sorted(found.items(), key=lambda item: item[1].ratio):
        print(_row(type, each))
    every = Found(
        sum(each.ours for each in found.values()),
        sum(each.theirs for each in found.values()),
        sum(each.evaluations for each in found.values()),
    )
    print(_row("every type", every))
    verdict = "met" if every.ratio >= TARGET else "MISSED"
    print(f"target: {TARGET:.0f} times as fast as fhirpathpy; {verdict}")


def _row(name: str, found: Found) -> str:
    each = 1e6 / found.evaluations
    return (
        f"{name:<34}{found.evaluations:>12,}{found.ours * each:>9.2f}"
        f"{found.theirs * each:>15.2f}{found.ratio:>7.1f}"
    )


def _print_differing(differing: list[Differing]) -> None:
    """Print the commonest differences, and which engine is wrong where R4 settles it."""
    print(f"\nnot counted, for the engines differ: {len(differing):,} evaluations; the commonest:")
    counted = Counter((each.expression, each.ours, each.theirs) for each in differing)
    for (expression, ours, theirs), count in counted.most_common(LISTED):
        short = expression if len(expression) <= 60 else f"{expression[:57]}..."
        print(
            f"{count:>5} x {short:<60} ours {ours}, fhirpathpy {theirs}: {_wrong(expression, ours)}"
        )


def _wrong(expression: str, ours: str) -> str:
    """Say which side is wrong: R4's own rule for what its expressions mean."""
    if not ours.isdigit():
        return "ours raises"
    for reason, part in _RULES:
        if part in expression:
            return reason
    return "unsettled"


# Why an engine is wrong, by what the expression contains.
_RULES = (
    ("fhirpathpy: no resolve(), though the reference's text tells the type", "resolve()"),
    ("fhirpathpy: no hasExtension()", "hasExtension("),
    ("fhirpathpy: every resource is a Resource", "Resource."),
    ("unsettled: whether a canonical passes `as uri`", " as uri)"),
    ("fhirpathpy: R4's parameters apply `as` to several items", " as "),
)


if __name__ == "__main__":
    main()
