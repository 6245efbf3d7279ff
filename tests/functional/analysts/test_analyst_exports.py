"""What an analyst exports: the pseudonymised registry, on which a measure comes to the same."""

from collections.abc import Iterator
from datetime import date, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb
import pytest

import outcome_engine
from fhir_server.access.pseudonyms import pseudonyms
from fhir_server.store.search.keys import place
from outcome_engine.views.duckdb import sql
from outcome_engine.views.view import views
from r4.json import Resource, decode, encode
from r4.reference import references, rewrite
from terminology import Terminology
from tests.support.analysts import ANALYST, REGISTRY, Registry

_LIBRARIES = files("outcome_engine") / "libraries"
BY_INTERVALS = tuple(
    name
    for each in sorted(_LIBRARIES.iterdir(), key=lambda each: each.name)
    if (name := each.name.removeprefix("Library-").removesuffix(".json"))
    != "treatment-success-score"
    and "birth" not in each.read_text()
)
"""Measures that do not ask for a day of birth, nor for signed parameters."""
MEASURE = "https://csor.example/fhir/Measure/"
ASYNC = {"Prefer": "respond-async"}


def examples(measure: str) -> Iterator[tuple[list[Resource], str]]:
    """Yield each worked example of a measure: its record, and as of which day.

    Left out is the one over the night on which the clocks change, the hour of which is not told.
    """
    folder = files("outcome_engine") / "examples" / measure
    for file in sorted(folder.iterdir(), key=lambda each: each.name):
        name, kind, _ = file.name.rsplit(".", 2)
        if kind == "bundle" and "change-of-the-clocks" not in name:
            told = decode((folder / f"{name}.outcome.json").read_bytes())["parameter"]
            as_of = next(each["valueDate"] for each in told if each["name"] == "asOf")
            yield [each["resource"] for each in decode(file.read_bytes())["entry"]], as_of


def stored(registry: Registry, number: int, record: list[Resource]) -> str:
    """Store a record under ids of its own, with the organisations that it names; returns its child."""
    own = {f"{each['resourceType']}/{each['id']}" for each in record}

    def named(text: str) -> str:
        return f"{text}-{number}" if text in own else text

    listed = [
        {**rewrite(each, named), "id": f"{each['id']}-{number}", "identifier": []}
        for each in record
    ]
    for each in listed:
        del each["identifier"]
    others = {each for each in references(listed) if each.startswith("Organization/")} - own
    hospitals = [{"resourceType": "Organization", "id": each.partition("/")[2]} for each in others]
    entries = [
        {
            "resource": {**one, "name": "A"} if one["resourceType"] == "Organization" else one,
            "request": {"method": "PUT", "url": f"{one['resourceType']}/{one['id']}"},
        }
        for one in [*hospitals, *listed]
    ]
    answer = registry.ask.send(REGISTRY, *entries)
    assert answer.status_code == 200, answer.text
    return next(str(each["id"]) for each in listed if each["resourceType"] == "Patient")


def outcome(measure: str, record: list[Resource], as_of: str, terms: Terminology) -> Any:
    found = outcome_engine.assess(f"{MEASURE}{measure}", record, as_of, terms)
    return found.outcome_class, found.due, found.decided_by.id, found.populations


def test_a_measure_of_intervals_comes_to_the_same_on_the_export(registry: Registry) -> None:
    terms, known = Terminology.load(), pseudonyms(registry.ask.made.settings)
    expected: list[tuple[str, str, str, Any]] = []
    assert len(BY_INTERVALS) > 9
    for measure in BY_INTERVALS:
        for record, as_of in examples(measure):
            child = place("Patient", stored(registry, len(expected), record))
            then = str(date.fromisoformat(as_of) - timedelta(known.days(child)))
            told = outcome(measure, record, as_of, terms)
            expected.append((measure, known.token("Patient", child), then, told))
    assert len(expected) > 40
    assert len({told for *_, told in expected}) > 5
    _, found = registry.exported("/$export")
    of: dict[str, list[Resource]] = {each["id"]: [each] for each in found["Patient"]}
    for kind, listed in found.items():
        for each in listed if kind not in ("Patient", "Organization") else ():
            subject = each.get("subject") or each["patient"]
            of[subject["reference"].partition("/")[2]].append(decode(encode(each)))
    for measure, token, then, told in expected:
        assert outcome(measure, of[token], then, terms) == told, (measure, token)


def test_a_file_is_in_the_order_of_its_tokens_and_holds_what_is_read(registry: Registry) -> None:
    _, found = registry.exported("/$export?_type=Patient,Procedure")
    assert set(found) == {"Patient", "Procedure"}
    for kind, listed in found.items():
        assert listed == registry.found(f"/{kind}")
        assert [each["id"] for each in listed] == sorted(each["id"] for each in listed)


def test_an_export_of_patients_leaves_out_what_is_about_none(registry: Registry) -> None:
    _, found = registry.exported("/Patient/$export")
    assert "Organization" not in found
    assert "Patient" in found


@pytest.mark.parametrize(
    "query",
    [
        "_since=2020-01-01T00:00:00Z", "_typeFilter=Patient%3Fname=a", "_elements=name",
        "_type=Practitioner", "_type=Patient,Task", "patient=Patient/a", "unheard=1",
    ],
)  # fmt: skip
def test_an_export_has_no_parameter_but_the_types_that_are_shown(
    registry: Registry, query: str
) -> None:
    lenient = {"Prefer": "respond-async, handling=lenient"}
    for headers in (ASYNC, lenient):
        assert registry.get(f"/$export?{query}", headers=headers).status_code == 403
    assert registry.ask(ANALYST, "POST", "/$export", headers=ASYNC).status_code == 400


def test_a_job_is_its_analysts_own_and_no_job_of_others_is(registry: Registry) -> None:
    job, _ = registry.exported("/$export?_type=Patient")
    assert registry.get(job, "another").status_code == 404
    assert registry.get(f"{job}/Patient.ndjson", "another").status_code == 404
    assert registry.ask("another", "DELETE", job).status_code == 404
    own, _ = registry.exported("/$export?_type=Patient", REGISTRY)
    assert registry.get(own).status_code == 404
    assert registry.get(f"{own}/Patient.ndjson").status_code == 404


def test_an_export_of_other_pseudonyms_is_not_written(registry: Registry) -> None:
    begun = registry.get("/$export?_type=Patient", headers=ASYNC)
    job = begun.headers["Content-Location"].partition("/fhir")[2]
    policy = registry.ask.made.settings.pseudonym_policy
    assert policy is not None
    before = policy.read_text()
    policy.write_text(before.replace("test-1", "test-2"))
    try:
        with pytest.raises(AssertionError, match="ask for another export"):
            registry.waited(job)
    finally:
        policy.write_text(before)


def test_the_views_run_on_an_export(registry: Registry, tmp_path: Path) -> None:
    _, found = registry.exported("/$export")
    for kind, listed in found.items():
        lines = b"".join(encode(each) + b"\n" for each in listed)
        (tmp_path / f"{kind}.ndjson").write_bytes(lines)
    counted = {}
    with duckdb.connect() as database:
        for view in views().values():
            files_of = str(tmp_path / f"{view.resource}.ndjson")
            if Path(files_of).is_file():
                rows = database.sql(sql(view, f"read_ndjson_objects('{files_of}')", column="json"))
                counted[view.id] = len(
                    {row[rows.columns.index("patient")] for row in rows.fetchall()}
                )
    assert counted["patient"] == len(found["Patient"])
    assert counted["procedure"] >= len(registry.children)
