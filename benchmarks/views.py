"""Resources flattened by views: generated code beside code by hand, the evaluator and fhirpathpy.

`python -m benchmarks views`: every figure is of the same resources in the same process, and of one core.
Code by hand and the evaluator are first found to give the same rows; fhirpathpy is given the same paths.
"duckdb" is the view's query over a table of 20,000 resources, of one thread.
"""

import importlib
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb

import outcome_engine
from benchmarks.timing import fastest
from outcome_engine import staging
from outcome_engine.views.duckdb import sql
from outcome_engine.views.rows import compiled, evaluated
from outcome_engine.views.view import View, views
from r4.json import Resource, decode, encode

ROOT = Path(outcome_engine.__file__).parent.parent
EXAMPLES = ("outcome_engine/examples/*/*.bundle.json", "mappings/hl7v2/examples/*.bundle.json")
MOST = 100
"""Resources of each type."""
QUERIED = 20_000
TARGET = 60_000
"""Staged resources a second on one core: 1.5 million of 100,000 children in 25 seconds."""
URGENCY, STAGE, LATERALITY = (
    f"https://csor.example/fhir/StructureDefinition/procedure-{name}"
    for name in ("urgency", "stage", "laterality")
)

Flatten = Callable[[Resource], list[tuple[Any, ...]]]


def main() -> None:
    """Print resources a second of each view, and how many times as long the others take."""
    resources = _resources()
    print("a second:            compiled    staged   decoded too   duckdb | times as long:")
    print(" " * 64 + "| by hand  evaluator  fhirpathpy")
    for view in views().values():
        found = resources[view.resource]
        _check(view, found)
        works = {name: _over(work, found) for name, work in _works(view).items()}
        texts = [encode(each) for each in found]
        works["decoded"] = lambda view=view, texts=texts: staging.stage(
            view, "child", map(decode, texts)
        )
        _print(view, len(found), fastest(works), _duckdb(view, texts))


def _resources() -> dict[str, list[Resource]]:
    found: defaultdict[str, list[Resource]] = defaultdict(list)
    for pattern in EXAMPLES:
        for path in sorted(ROOT.glob(pattern)):
            for entry in decode(path.read_bytes())["entry"]:
                resource = entry["resource"]
                if len(found[resource["resourceType"]]) < MOST:
                    found[resource["resourceType"]].append(resource)
    return found


def _works(view: View) -> dict[str, Flatten]:
    works: dict[str, Flatten] = {
        "compiled": compiled(view),
        "staged": lambda resource: staging.stage(view, "child", [resource]),
        "evaluated": evaluated(view),
    }
    if view.id in BY_HAND:
        works["by hand"] = BY_HAND[view.id]
        if (other := _fhirpathpy(view)) is not None:
            works["fhirpathpy"] = other
    return works


def _check(view: View, resources: list[Resource]) -> None:
    """Leave the process where what is compared does not give the same rows."""
    works = _works(view)
    for name in ("evaluated", "by hand"):
        for resource in resources:
            if name in works and works[name](resource) != works["compiled"](resource):
                raise SystemExit(f"{view.id}, {name}: other rows of {resource}")


def _over(work: Flatten, resources: list[Resource]) -> Callable[[], object]:
    return lambda: [work(resource) for resource in resources]


def _duckdb(view: View, texts: list[bytes]) -> float:
    """Return how many resources a second DuckDB flattens: JSON in a table to typed columns."""
    with duckdb.connect() as connection:
        connection.execute("SET threads = 1")
        times = QUERIED // len(texts)
        given = [[text.decode() for text in texts], times]
        connection.execute("CREATE TABLE r AS SELECT unnest($1) AS resource FROM range($2)", given)
        start = time.perf_counter()
        connection.sql(sql(view, "r")).create("flattened")
        return times * len(texts) / (time.perf_counter() - start)


def _print(view: View, count: int, microseconds: dict[str, float], queried: float) -> None:
    ours = microseconds["compiled"]

    def rate(name: str) -> int:
        return round(count * 1e6 / microseconds[name])

    def ratio(name: str) -> str:
        return f"{microseconds[name] / ours:.1f}" if name in microseconds else "-"

    met = "" if rate("staged") >= TARGET else f"  below {TARGET:,}"
    print(
        f"{view.id:21}{rate('compiled'):9,}{rate('staged'):10,}{rate('decoded'):13,}{queried:10,.0f} |"
        f"{ratio('by hand'):>8}{ratio('evaluated'):>11}{ratio('fhirpathpy'):>12}{met}"
    )


def _fhirpathpy(view: View) -> Flatten | None:
    """Compile the columns of a view, of the first coding alone, as far as fhirpathpy knows FHIRPath."""
    try:
        engine = importlib.import_module("fhirpathpy")
        model = importlib.import_module("fhirpathpy.models").models["r4"]
    except ImportError:
        return None
    paths = [engine.compile(path, model) for path in _paths(view)]
    return lambda resource: [tuple(path(resource) for path in paths)]


def _paths(view: View) -> Iterator[str]:
    for select in view.selects:
        prefix = f"{select.paths[0]}.first()." if select.paths else ""
        for column in select.columns:
            path = column.path.replace("getResourceKey()", "id")
            yield prefix + re.sub(r"getReferenceKey\(\w+\)", "reference", path)


def _observation(r: Resource) -> list[tuple[Any, ...]]:
    quantity = r.get("valueQuantity") or {}
    coding = ((r.get("valueCodeableConcept") or {}).get("coding") or [{}])[0]
    date = r.get("effectiveDateTime") or (r.get("effectivePeriod") or {}).get("start")
    own = (
        r.get("id"), _key(r.get("subject"), "Patient/"), date or r.get("effectiveInstant"),
        r.get("status"), _key(r.get("encounter"), "Encounter/"), r.get("valueBoolean"),
        r.get("valueInteger"), quantity.get("value"), quantity.get("comparator"),
        quantity.get("code"), coding.get("system"), coding.get("code"), r.get("valueString"),
        r.get("valueDateTime"),
    )  # fmt: skip
    codings = (r.get("code") or {}).get("coding") or [{}]
    return [(*own, each.get("system"), each.get("code")) for each in codings]


def _procedure(r: Resource) -> list[tuple[Any, ...]]:
    period = r.get("performedPeriod") or {}
    told = {}
    for extension in r.get("extension") or ():
        codings = (extension.get("valueCodeableConcept") or {}).get("coding") or [{}]
        told.setdefault(extension["url"], codings[0].get("code"))
    own = (
        r.get("id"), _key(r.get("subject"), "Patient/"),
        r.get("performedDateTime") or period.get("start"), period.get("end"), r.get("status"),
        told.get(URGENCY), told.get(LATERALITY), told.get(STAGE),
        _key(r.get("encounter"), "Encounter/"),
    )  # fmt: skip
    codings = (r.get("code") or {}).get("coding") or [{}]
    return [(*own, each.get("system"), each.get("code")) for each in codings]


def _key(reference: Resource | None, prefix: str) -> str | None:
    text = (reference or {}).get("reference") or ""
    return text.removeprefix(prefix) if text.startswith(prefix) else None


BY_HAND: dict[str, Flatten] = {"observation": _observation, "procedure": _procedure}
"""What a programmer would write for the same rows of what these examples hold, and for nothing else."""

if __name__ == "__main__":
    main()
