"""Bulk import: every line stored under its id or refused with its reason, and each counted once."""

import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_server.operations.import_order import circles
from tests.support.bulk import ASYNC, exported, kick_off, lines, manifest, observation, patient, put
from tests.support.databases import KINDS
from tests.support.server import Process, Served, served

NDJSON = {**ASYNC, "Content-Type": "application/fhir+ndjson"}


def ndjson(resources: list[Any]) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in resources)


def accepted(http: httpx.Client, content: bytes) -> str:
    answer = http.post("/$import", content=content, headers=NDJSON)
    assert answer.status_code == 202, answer.text
    return answer.headers["Content-Location"]


def imported(http: httpx.Client, content: bytes) -> tuple[dict[str, int], list[str]]:
    """Import a body; returns what became of its lines, and what was said of those refused."""
    done = manifest(http, accepted(http, content))
    (counted,) = done["extension"]["files"]
    del counted["inputUrl"]
    outcomes = lines(http, done["error"]).get("OperationOutcome", [])
    assert len(outcomes) == counted["refused"]
    parts = ("created", "updated", "unchanged", "refused")
    assert sum(counted[part] for part in parts) == counted["lines"]
    assert done["output"][0]["count"] == counted["lines"] - counted["refused"]
    return counted, [each["issue"][0]["diagnostics"] for each in outcomes]


def counts(created: int = 0, updated: int = 0, unchanged: int = 0, refused: int = 0) -> Any:
    total = created + updated + unchanged + refused
    return {
        "lines": total, "created": created, "updated": updated, "unchanged": unchanged,
        "refused": refused,
    }  # fmt: skip


def test_each_line_is_created_updated_or_unchanged(server: Served) -> None:
    http = server.http
    first = ndjson([patient("i1"), patient("i2"), patient("i3", active=True)])
    assert imported(http, first) == (counts(created=3), [])
    second = ndjson([patient("i1"), patient("i2", active=True), patient("i4")])
    assert imported(http, second) == (counts(created=1, updated=1, unchanged=1), [])
    assert http.get("/Patient/i1").json()["meta"]["versionId"] == "1"
    assert http.get("/Patient/i2").json()["meta"]["versionId"] == "2"


def test_bad_lines_are_refused_one_by_one_with_their_place(server: Served) -> None:
    content = b"\n".join(
        [
            json.dumps(patient("b1")).encode(),
            b"not json",
            b"",
            json.dumps({"resourceType": "Patient"}).encode(),
            json.dumps({"resourceType": "Nothing", "id": "x"}).encode(),
            json.dumps(patient("b2", gender="nonsense")).encode(),
            json.dumps(observation("b3", "nobody-here")).encode(),
            b'{"resourceType":"Patient","id":"b4","id":"b5"}',
            json.dumps(patient("b6")).encode(),
        ]
    )
    counted, said = imported(server.http, content)
    assert counted == counts(created=2, refused=6)
    assert sorted(text.partition(":")[0] for text in said) == [
        f"input.ndjson, line {number}" for number in (2, 3, 4, 5, 6, 7)
    ]
    assert any("Patient/nobody-here is not known here" in text for text in said)
    assert server.http.get("/Patient/b6").status_code == 200
    assert server.http.get("/Patient/b2").status_code == 404


def test_the_order_of_lines_does_not_matter(server: Served) -> None:
    """What is referred to comes last, hundreds of lines later."""
    resources: list[Any] = [observation(f"o{n}", f"late{n % 7}") for n in range(300)]
    resources += [patient(f"late{n}") for n in range(7)]
    assert imported(server.http, ndjson(resources)) == (counts(created=307), [])


def linked(key: str, other: str) -> dict[str, Any]:
    return patient(key, link=[{"other": {"reference": f"Patient/{other}"}, "type": "seealso"}])


def test_a_circle_of_references_is_stored_as_one(server: Served) -> None:
    """Each of 120 refers to the next one, the last to the first; and one more to one that is missing."""
    resources = [linked(f"ring{n}", f"ring{(n + 1) % 120}") for n in range(120)]
    resources += [linked("far-a", "far-b"), *(patient(f"between{n}") for n in range(200))]
    resources += [linked("far-b", "far-a"), linked("loose", "looser"), linked("looser", "missing")]
    counted, said = imported(server.http, ndjson(resources))
    assert counted == counts(created=322, refused=2)
    assert any("Patient/missing is not known here" in text for text in said)


def test_a_later_line_about_the_same_resource_wins(server: Served) -> None:
    """Also where the earlier one has to wait for what it refers to."""
    about = observation("same", "awaited")
    newer = {**observation("same", None), "status": "amended"}
    content = ndjson(
        [about, newer, patient("awaited"), patient("twice"), patient("twice", active=True)]
    )
    counted, _ = imported(server.http, content)
    assert counted == counts(created=3, updated=2)
    assert server.http.get("/Observation/same").json()["status"] == "amended"
    assert server.http.get("/Patient/twice").json()["active"] is True


def test_an_import_is_asked_for_asynchronously_and_not_empty(server: Served) -> None:
    kind = {"Content-Type": "application/fhir+ndjson"}
    assert server.http.post("/$import", content=b"{}", headers=kind).status_code == 400
    assert server.http.post("/$import", content=b"\n", headers=NDJSON).status_code == 400


def inputs(*named: tuple[str, str]) -> dict[str, Any]:
    listed = [
        {
            "name": "input",
            "part": [{"name": "type", "valueCode": kind}, {"name": "url", "valueUrl": url}],
        }
        for kind, url in named
    ]
    given = {"name": "inputFormat", "valueString": "application/fhir+ndjson"}
    return {"resourceType": "Parameters", "parameter": [given, *listed]}


def test_without_an_import_folder_no_file_is_read(server: Served, tmp_path: Path) -> None:
    (tmp_path / "Patient.ndjson").write_bytes(ndjson([patient("x")]))
    body = inputs(("Patient", f"file://{tmp_path}/Patient.ndjson"))
    assert server.http.post("/$import", json=body, headers=ASYNC).status_code == 403


@pytest.mark.parametrize("kind", KINDS)
def test_files_are_read_below_the_import_folder_alone(kind: str, tmp_path: Path) -> None:
    below, outside = tmp_path / "in", tmp_path / "out"
    below.mkdir()
    outside.mkdir()
    for folder in (below, outside):
        (folder / "Patient.ndjson").write_bytes(ndjson([patient("f1"), observation("no", "f1")]))
        (folder / "Observation.ndjson").write_bytes(ndjson([observation("f2", "f1")]))
    (below / "link.ndjson").symlink_to(outside / "Patient.ndjson")
    with served(tmp_path, kind, import_folder=below) as server:
        http = server.http
        for url in (
            f"file://{outside}/Patient.ndjson", f"file://{below}/../out/Patient.ndjson",
            f"file://{below}/%2e%2e/out/Patient.ndjson", f"file://{below}/link.ndjson",
        ):  # fmt: skip
            answer = http.post("/$import", json=inputs(("Patient", url)), headers=ASYNC)
            assert answer.status_code == 403, url
        for url in (f"file://{below}/none.ndjson", "https://a.example/x", "Patient.ndjson"):
            answer = http.post("/$import", json=inputs(("Patient", url)), headers=ASYNC)
            assert answer.status_code == 400, url
        urls = [f"file://{below}/{name}.ndjson" for name in ("Observation", "Patient")]
        body = inputs(("Observation", urls[0]), ("Patient", urls[1]))
        answer = http.post("/$import", json=body, headers=ASYNC)
        done = manifest(http, answer.headers["Content-Location"])
        assert done["output"] == [
            {"type": "Patient", "inputUrl": urls[1], "count": 1},
            {"type": "Observation", "inputUrl": urls[0], "count": 1},
        ]
        assert [each["refused"] for each in done["extension"]["files"]] == [1, 0]
        (outcome,) = lines(http, done["error"])["OperationOutcome"]
        assert outcome["issue"][0]["diagnostics"].startswith("Patient.ndjson, line 2: ")


def test_a_cancelled_import_stores_no_more(server: Served) -> None:
    http = server.http
    status = accepted(http, ndjson([patient(f"cancelled{n}") for n in range(3000)]))
    while http.get(status).headers["X-Progress"].startswith("waiting"):
        time.sleep(0.01)
    assert http.delete(status).status_code == 202
    assert http.get(status).status_code == 404
    imported(http, ndjson([patient("after-cancelling")]))  # the next job has its turn
    stored = http.get("/Patient?_summary=count&_id=cancelled2999").json()["total"]
    assert stored == 0


def without_meta(found: dict[str, list[Any]]) -> dict[str, Any]:
    return {
        kind: {each["id"]: {k: v for k, v in each.items() if k != "meta"} for each in listed}
        for kind, listed in found.items()
    }


@pytest.mark.parametrize("kind", KINDS)
def test_an_export_imported_elsewhere_gives_the_same_resources(
    server: Served, kind: str, tmp_path: Path
) -> None:
    """With everything that the tests above have stored, circles of references too."""
    status = kick_off(server.http, "/$export")
    output = manifest(server.http, status)["output"]
    below = tmp_path / "in"
    below.mkdir()
    named = []
    for entry in output:
        (below / f"{entry['type']}.ndjson").write_bytes(server.http.get(entry["url"]).content)
        named.append((entry["type"], f"file://{below}/{entry['type']}.ndjson"))
    with served(tmp_path, kind, import_folder=below) as other:
        answer = other.http.post("/$import", json=inputs(*named), headers=ASYNC)
        done = manifest(other.http, answer.headers["Content-Location"])
        assert done["error"] == []
        counted = {each["type"]: each["count"] for each in done["output"]}
        assert counted == {entry["type"]: entry["count"] for entry in output}
        there = exported(other.http, "/$export")
        assert without_meta(there) == without_meta(lines(server.http, output))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_an_import_goes_on_after_the_death_of_the_server(kind: str, tmp_path: Path) -> None:
    """Killed again and again, it ends as if it had not been: each line counted once, stored once."""
    resources: list[Any] = []
    for n in range(1200):
        resources += [observation(f"o{n}", f"p{n + 300 if n < 900 else n}"), patient(f"p{n}")]
        if n % 100 == 0:
            resources.append(patient(f"bad{n}", gender="nonsense"))
    process = Process(tmp_path, kind)
    process.start()
    try:
        with httpx.Client(base_url=process.base_url, timeout=30) as http:
            put(http, patient("p7"))
            status = accepted(http, ndjson(resources))
            seen = set()
            for _ in range(2):
                deadline = time.monotonic() + 20
                while time.monotonic() < deadline:
                    answer = http.get(status)
                    progress = answer.headers.get("X-Progress")
                    if answer.status_code == 200 or (progress and progress not in seen):
                        break
                    time.sleep(0.01)
                seen.add(progress)
                process.kill()
                process.start()
            assert len(seen - {None}) > 1, "the server was not killed in the middle"
            done = manifest(http, status)
            (counted,) = done["extension"]["files"]
            del counted["inputUrl"]
            assert counted == counts(created=2399, unchanged=1, refused=12)
            outcomes = lines(http, done["error"])["OperationOutcome"]
            assert len({each["issue"][0]["diagnostics"] for each in outcomes}) == 12
            history = http.get("/_history?_count=1").json()["total"]
            found = exported(http, "/$export?_type=Patient,Observation")
            assert len(found["Patient"]) == len(found["Observation"]) == 1200
            stored = [each for listed in found.values() for each in listed]
            assert {each["meta"]["versionId"] for each in stored} == {"1"}
            assert history >= 2400
    finally:
        process.stop()


def test_groups_come_after_what_they_lead_to() -> None:
    refers = {"a": ["b"], "b": ["c", "d"], "c": ["b"], "d": ["elsewhere"], "e": ["e", "a"]}
    assert [sorted(group) for group in circles(refers)] == [["d"], ["b", "c"], ["a"], ["e"]]


def test_a_long_chain_is_ordered_without_recursion() -> None:
    refers = {n: [n + 1] for n in range(50_000)}
    assert circles(refers) == [[n] for n in reversed(range(50_000))]
