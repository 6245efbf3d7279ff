"""The delete interaction: https://hl7.org/fhir/R4/http.html#delete, and what still refers to the deleted."""

import asyncio
from typing import Any

import httpx

from tests.support.server import Served

MRN = "https://csor.example/fhir/sid/delete-test"


def patient(number: str) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "identifier": [{"system": MRN, "value": number}],
        "name": [{"family": "Testchild-Gone", "given": ["Fictitious"]}],
    }


def weight_of(place: str) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "weight"},
        "subject": {"reference": place},
    }


def created(server: Served, resource: dict[str, Any]) -> str:
    answer = server.http.post(f"/{resource['resourceType']}", json=resource)
    assert answer.status_code == 201, answer.text
    return f"{resource['resourceType']}/{answer.json()['id']}"


def transaction(server: Served, *entries: dict[str, Any], kind: str = "transaction") -> Any:
    bundle = {"resourceType": "Bundle", "type": kind, "entry": list(entries)}
    return server.http.post("/", json=bundle)


def request(method: str, url: str, **more: Any) -> dict[str, Any]:
    return {"request": {"method": method, "url": url}, **more}


class TestDelete:
    def test_it_is_gone_and_its_history_stays(self, server: Served) -> None:
        place = created(server, patient("1"))
        answer = server.http.delete(f"/{place}")
        assert answer.status_code == 200
        assert answer.json()["resourceType"] == "OperationOutcome"
        assert answer.headers["ETag"] == 'W/"2"'
        assert server.http.get(f"/{place}").status_code == 410
        assert server.http.get(f"/{place}/_history/2").status_code == 410
        assert server.http.get(f"/{place}/_history/1").status_code == 200
        entries = server.http.get(f"/{place}/_history").json()["entry"]
        assert [each["request"]["method"] for each in entries] == ["DELETE", "POST"]
        assert server.http.get(f"/Patient?identifier={MRN}|1").json()["total"] == 0

    def test_to_delete_again_or_what_never_was_is_no_error(self, server: Served) -> None:
        place = created(server, patient("2"))
        assert server.http.delete(f"/{place}").status_code == 200
        assert server.http.delete(f"/{place}").is_success
        assert server.http.delete("/Patient/never-was").is_success
        assert server.http.get("/Patient/never-was").status_code == 404

    def test_if_match_protects_what_was_changed_since(self, server: Served) -> None:
        place = created(server, patient("3"))
        stale = server.http.delete(f"/{place}", headers={"If-Match": 'W/"7"'})
        assert stale.status_code == 412
        assert server.http.delete(f"/{place}", headers={"If-Match": 'W/"1"'}).status_code == 200

    def test_an_update_brings_it_back(self, server: Served) -> None:
        place = created(server, patient("4"))
        server.http.delete(f"/{place}")
        again = patient("4") | {"id": place.partition("/")[2]}
        answer = server.http.put(f"/{place}", json=again)
        assert answer.status_code == 201
        assert answer.headers["ETag"] == 'W/"3"'

    def test_minimal_is_204(self, server: Served) -> None:
        place = created(server, patient("5"))
        answer = server.http.delete(f"/{place}", headers={"Prefer": "return=minimal"})
        assert (answer.status_code, answer.content) == (204, b"")


class TestReferences:
    def test_what_is_referred_to_stays(self, server: Served) -> None:
        child = created(server, patient("10"))
        observation = created(server, weight_of(child))
        answer = server.http.delete(f"/{child}")
        assert answer.status_code == 409
        assert observation in answer.json()["issue"][0]["diagnostics"]
        assert server.http.get(f"/{child}").status_code == 200
        assert server.http.delete(f"/{observation}").status_code == 200
        assert server.http.delete(f"/{child}").status_code == 200

    def test_together_they_can_go(self, server: Served) -> None:
        child = created(server, patient("11"))
        observation = created(server, weight_of(child))
        answer = transaction(server, request("DELETE", child), request("DELETE", observation))
        assert answer.status_code == 200, answer.text
        statuses = [each["response"]["status"] for each in answer.json()["entry"]]
        assert statuses == ["204 No Content"] * 2
        assert server.http.get(f"/{child}").status_code == 410

    def test_a_transaction_cannot_refer_to_what_it_deletes(self, server: Served) -> None:
        child = created(server, patient("12"))
        post = request("POST", "Observation", resource=weight_of(child))
        answer = transaction(server, request("DELETE", child), post)
        assert answer.status_code == 422
        assert answer.json()["issue"][0]["expression"] == ["Bundle.entry[1].resource"]
        assert server.http.get(f"/{child}").status_code == 200

    def test_a_reference_to_what_was_deleted_is_refused(self, server: Served) -> None:
        child = created(server, patient("13"))
        server.http.delete(f"/{child}")
        answer = server.http.post("/Observation", json=weight_of(child))
        assert answer.status_code == 422
        assert child in answer.json()["issue"][0]["diagnostics"]

    def test_of_a_deletion_and_references_that_race_none_is_left_dangling(
        self, server: Served
    ) -> None:
        async def race(place: str) -> list[int]:
            async with httpx.AsyncClient(base_url=server.base_url) as http:
                tries = [http.post("/Observation", json=weight_of(place)) for _ in range(6)]
                tries.insert(3, http.delete(f"/{place}"))
                return [answer.status_code for answer in await asyncio.gather(*tries)]

        for number in range(20, 28):
            child = created(server, patient(str(number)))
            statuses = asyncio.run(race(child))
            assert set(statuses) <= {200, 201, 409, 422}
            left = server.http.get(f"/Observation?subject={child}").json()["total"]
            gone = server.http.get(f"/{child}").status_code == 410
            assert left == statuses.count(201)
            assert not (gone and left)


class TestConditionalDelete:
    def test_all_that_match_are_deleted_together(self, server: Served) -> None:
        for number in ("30", "31"):
            created(server, patient(number))
        answer = server.http.delete("/Patient", params={"identifier": f"{MRN}|30,{MRN}|31"})
        assert answer.status_code == 200
        assert "2" in answer.json()["issue"][0]["diagnostics"]
        assert server.http.get(f"/Patient?identifier={MRN}|30,{MRN}|31").json()["total"] == 0

    def test_nothing_to_delete_is_no_error(self, server: Served) -> None:
        assert server.http.delete(f"/Patient?identifier={MRN}|none").is_success

    def test_without_criteria_nothing_is_deleted(self, server: Served) -> None:
        for query in ("", "?identifier=", "?_count=5"):
            assert server.http.delete(f"/Patient{query}").status_code in (400, 412)

    def test_one_that_is_referred_to_keeps_them_all(self, server: Served) -> None:
        free, child = created(server, patient("32")), created(server, patient("33"))
        created(server, weight_of(child))
        answer = server.http.delete("/Patient", params={"identifier": f"{MRN}|32,{MRN}|33"})
        assert answer.status_code == 409
        assert server.http.get(f"/{free}").status_code == 200

    def test_in_a_bundle_several_matches_are_refused(self, server: Served) -> None:
        for number in ("34", "35"):
            created(server, patient(number))
        both = f"Patient?identifier={MRN}|34,{MRN}|35"
        assert transaction(server, request("DELETE", both)).status_code == 412
        one = transaction(server, request("DELETE", f"Patient?identifier={MRN}|34"), kind="batch")
        assert one.json()["entry"][0]["response"]["status"].startswith("204")
