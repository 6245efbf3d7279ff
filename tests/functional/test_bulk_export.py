"""Bulk export: a snapshot, as files of stored bytes; https://hl7.org/fhir/uv/bulkdata/STU2/export.html."""

import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_server.operations.asynchronous import folder
from tests.support.bulk import (
    ASYNC,
    exported,
    kick_off,
    lines,
    manifest,
    observation,
    patient,
    put,
)
from tests.support.databases import KINDS
from tests.support.server import Process, Served


@pytest.fixture(scope="module")
def registry(server: Served) -> Served:
    """Two children in a group, a third outside of it, and an observation about nobody."""
    for key in ("ann", "bob", "cat"):
        put(server.http, patient(key, gender="female" if key == "ann" else "male", active=True))
        for number in range(3):
            put(server.http, observation(f"{key}-{number}", key, "ab"[number % 2]))
    put(server.http, observation("nobody", None))
    members = [{"entity": {"reference": f"Patient/{key}"}} for key in ("ann", "bob")]
    members.append({"entity": {"reference": "Patient/cat"}, "inactive": True})
    group = {"resourceType": "Group", "id": "g", "type": "person", "actual": True}
    put(server.http, {**group, "member": members})
    outer = [{"entity": {"reference": "Group/g"}}]
    put(server.http, {**group, "id": "outer", "member": outer})
    return server


def ids(found: list[Any]) -> list[str]:
    return sorted(each["id"] for each in found)


def test_every_type_is_a_file_of_what_is_stored(registry: Served) -> None:
    http = registry.http
    done = manifest(http, kick_off(http, "/$export"))
    assert set(done) == {
        "transactionTime", "request", "requiresAccessToken", "output", "deleted", "error"
    }  # fmt: skip
    assert done["request"] == f"{registry.base_url}/$export"
    assert done["requiresAccessToken"] is False
    found = lines(http, done["output"])
    assert ids(found["Patient"]) == ["ann", "bob", "cat"]
    assert len(found["Observation"]) == 10
    assert "ValueSet" in found
    assert found["Patient"][0] == http.get("/Patient/ann").json()
    assert http.get("/Patient/ann").content in http.get(
        next(each["url"] for each in done["output"] if each["type"] == "Patient")
    ).content.split(b"\n")


def test_a_patient_export_holds_the_compartments_of_patients(registry: Served) -> None:
    found = exported(registry.http, "/Patient/$export")
    assert ids(found["Patient"]) == ["ann", "bob", "cat"]
    assert "nobody" not in ids(found["Observation"])
    assert len(found["Observation"]) == 9
    assert "ValueSet" not in found


@pytest.mark.parametrize("group", ["g", "outer"])
def test_a_group_export_holds_its_active_members(registry: Served, group: str) -> None:
    found = exported(registry.http, f"/Group/{group}/$export")
    assert ids(found["Patient"]) == ["ann", "bob"]
    assert {each["subject"]["reference"] for each in found["Observation"]} == {
        "Patient/ann", "Patient/bob"
    }  # fmt: skip
    assert len(found["Observation"]) == 6


def test_an_unknown_group_is_not_found(registry: Served) -> None:
    assert registry.http.get("/Group/none/$export", headers=ASYNC).status_code == 404


def post(registry: Served, path: str, *parameters: dict[str, Any]) -> httpx.Response:
    body = {"resourceType": "Parameters", "parameter": list(parameters)}
    return registry.http.post(path, json=body, headers=ASYNC)


def test_patients_named_in_a_post_alone_are_exported(registry: Served) -> None:
    bob = {"name": "patient", "valueReference": {"reference": "Patient/bob"}}
    for path in ("/Patient/$export", "/Group/g/$export"):
        answer = post(registry, path, bob, {"name": "_type", "valueString": "Patient"})
        done = manifest(registry.http, answer.headers["Content-Location"])
        assert {
            kind: ids(found) for kind, found in lines(registry.http, done["output"]).items()
        } == {"Patient": ["bob"]}
    cat = {"name": "patient", "valueReference": {"reference": "Patient/cat"}}
    assert post(registry, "/Group/g/$export", cat).status_code == 400
    assert post(registry, "/$export", bob).status_code == 400


def test_type_chooses_the_files(registry: Served) -> None:
    found = exported(registry.http, "/$export?_type=Patient,Group")
    assert set(found) == {"Patient", "Group"}


def test_a_type_filter_is_a_search_and_several_are_alternatives(registry: Served) -> None:
    http = registry.http
    one = {"_type": "Observation,Patient", "_typeFilter": "Observation?code=b"}
    found = exported(http, "/$export", params=one)
    assert ids(found["Observation"]) == ["ann-1", "bob-1", "cat-1"]
    assert len(found["Patient"]) == 3
    both = "Observation?code=b&subject=Patient/ann,Observation?subject:Patient.gender=male&code=a"
    found = exported(http, "/$export", params={"_type": "Observation", "_typeFilter": both})
    assert ids(found["Observation"]) == ["ann-1", "bob-0", "bob-2", "cat-0", "cat-2"]
    for refused in ("Observation?nonsense=1", "Patient?gender=male", "Observation?_sort=date"):
        params = {"_type": "Observation", "_typeFilter": refused}
        assert http.get("/$export", params=params, headers=ASYNC).status_code == 400, refused


def test_elements_are_those_asked_for_and_marked_as_a_part(registry: Served) -> None:
    found = exported(registry.http, "/$export?_type=Patient&_elements=gender")
    ann = next(each for each in found["Patient"] if each["id"] == "ann")
    assert ann["gender"] == "female"
    assert ann["meta"]["tag"][0]["code"] == "SUBSETTED"
    whole = registry.http.get("/Patient/ann").json()
    assert "active" in whole  # a modifier element, which stays
    assert set(ann) == {"resourceType", "id", "meta", "gender", "active"}


def test_since_exports_what_changed_after_an_earlier_export(registry: Served) -> None:
    http = registry.http
    done = manifest(http, kick_off(http, "/$export?_type=Patient"))
    since = {"_since": done["transactionTime"], "_type": "Patient,Observation"}
    assert exported(http, "/$export", params=since) == {}
    changed = put(http, patient("cat", gender="other"))
    assert exported(http, "/$export", params=since) == {"Patient": [changed]}


def delete(http: httpx.Client, place: str) -> None:
    entry = {"request": {"method": "DELETE", "url": place}}
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
    assert http.post("/", json=bundle).status_code == 200


def test_what_was_deleted_since_is_listed(registry: Served) -> None:
    http = registry.http
    put(http, observation("gone", "ann"))
    put(http, observation("gone-from-nobody", None))
    done = manifest(http, kick_off(http, "/$export?_type=Patient"))
    delete(http, "Observation/gone")
    delete(http, "Observation/gone-from-nobody")

    def deleted(path: str, **others: str) -> list[str]:
        params = {"_since": done["transactionTime"], **others}
        entries = manifest(http, kick_off(http, path, params=params))["deleted"]
        bundles = lines(http, entries).get("Bundle", [])
        assert all(each["type"] == "transaction" for each in bundles)
        requests = [entry["request"] for each in bundles for entry in each["entry"]]
        assert all(request["method"] == "DELETE" for request in requests)
        return [request["url"] for request in requests]

    assert deleted("/$export") == ["Observation/gone", "Observation/gone-from-nobody"]
    assert deleted("/Patient/$export") == ["Observation/gone"]
    assert deleted("/Group/g/$export") == ["Observation/gone"]
    assert deleted("/$export", _type="Patient") == []
    assert manifest(http, kick_off(http, "/$export"))["deleted"] == []


@pytest.mark.parametrize(
    "query",
    ["_until=2026-01-01", "includeAssociatedData=x", "_outputFormat=text/csv", "_type=Nothing",
     "_since=2026-01-01", "_typeFilter=Patient", "patient=Patient/ann"],
)  # fmt: skip
def test_what_is_not_served_is_refused(registry: Served, query: str) -> None:
    assert registry.http.get(f"/$export?{query}", headers=ASYNC).status_code == 400


def test_lenient_handling_ignores_what_is_not_known(registry: Served) -> None:
    headers = {"Prefer": "respond-async, handling=lenient"}
    query = "_until=x&includeAssociatedData=x&_type=Patient,Nothing"
    answer = registry.http.get(f"/$export?{query}", headers=headers)
    assert answer.status_code == 202
    done = manifest(registry.http, answer.headers["Content-Location"])
    assert [each["type"] for each in done["output"]] == ["Patient"]


def test_an_export_is_asked_for_asynchronously(registry: Served) -> None:
    assert registry.http.get("/$export").status_code == 400


def test_a_job_that_is_deleted_is_gone_with_its_files(registry: Served) -> None:
    http = registry.http
    status = kick_off(http, "/$export")
    file = manifest(http, status)["output"][0]["url"]
    assert http.get(file).status_code == 200
    assert http.delete(status).status_code == 202
    for url in (status, file):
        assert http.get(url).status_code == 404
    assert http.delete(status).status_code == 404


def test_no_file_is_served_that_the_manifest_does_not_name(registry: Served) -> None:
    status = kick_off(registry.http, "/$export?_type=Patient")
    manifest(registry.http, status)
    for name in ("Observation.ndjson", "..%2F..%2Fcsor.db", "none"):
        assert registry.http.get(f"{status}/{name}").status_code == 404


def test_files_are_their_owners_alone(registry: Served) -> None:
    status = kick_off(registry.http, "/$export?_type=Patient")
    manifest(registry.http, status)
    made = folder(registry.context, status.rpartition("/")[2])
    assert made.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in made.iterdir()} == {0o600}


def test_what_is_written_meanwhile_is_in_no_export(registry: Served) -> None:
    """A snapshot: writers change and add resources all the while, and each export is of one moment."""
    http, stop = registry.http, threading.Event()
    counters = ("c1", "c2")
    for name in counters:
        put(http, patient(name, multipleBirthInteger=1))

    def write() -> None:
        with httpx.Client(base_url=registry.base_url) as other:
            number = 1
            while not stop.is_set():
                number += 1
                entries = [
                    {
                        "resource": patient(key, multipleBirthInteger=number),
                        "request": {"method": "PUT", "url": f"Patient/{key}"},
                    }
                    for key in (*counters, f"new-{number}")
                ]
                bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
                assert other.post("/", json=bundle).status_code == 200

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(5):
            found = exported(http, "/$export?_type=Patient")["Patient"]
            keys = ids(found)
            assert len(keys) == len(set(keys))
            at = {each["id"]: each.get("multipleBirthInteger") for each in found}
            assert at["c1"] == at["c2"]
            new = {int(key[4:]) for key in keys if key.startswith("new-")}
            assert new == set(range(2, at["c1"] + 1))
    finally:
        stop.set()
        writer.join()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_an_export_survives_the_death_of_the_server(kind: str, tmp_path: Path) -> None:
    process = Process(tmp_path, kind)
    process.start()
    try:
        with httpx.Client(base_url=process.base_url, timeout=30) as http:
            for start in range(0, 4000, 1000):
                entries = [
                    {
                        "resource": patient(f"p{number}"),
                        "request": {"method": "PUT", "url": f"Patient/p{number}"},
                    }
                    for number in range(start, start + 1000)
                ]
                bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
                assert http.post("/", json=bundle).status_code == 200
            status = kick_off(http, "/$export?_type=Patient")
            process.kill()
            process.start()
            put(http, patient("later"))
            found = lines(http, manifest(http, status)["output"])["Patient"]
            assert ids(found) == sorted(f"p{number}" for number in range(4000))
            process.kill()
            process.start()
            assert lines(http, manifest(http, status)["output"])["Patient"] == found
    finally:
        process.stop()
