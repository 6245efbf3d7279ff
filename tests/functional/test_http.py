"""The FHIR endpoint as an integrator meets it: https://hl7.org/fhir/R4/http.html."""

import asyncio
from typing import Any

import httpx
import pytest

from fhir_server.store import inbox
from tests.support.databases import opened
from tests.support.server import Served

NHS = "https://fhir.nhs.uk/Id/nhs-number"


def patient(number: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "identifier": [{"system": NHS, "value": number}],
        "name": [{"family": "Testchild-Heron", "given": ["Fictitious"]}],
        "birthDate": "2020-02-29",
        **more,
    }


def issues(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.json()["resourceType"] == "OperationOutcome"
    return answer.json()["issue"]


class TestCreate:
    def test_a_created_resource_has_an_id_a_version_and_a_place(self, server: Served) -> None:
        answer = server.http.post("/Patient", json=patient("9990000018"))
        assert answer.status_code == 201
        assert answer.headers["ETag"] == 'W/"1"'
        assert answer.headers["Content-Type"].startswith("application/fhir+json")
        place = f"{server.base_url}/Patient/{answer.json()['id']}/_history/1"
        assert answer.headers["Location"] == place
        assert server.http.get(place).json() == answer.json()

    def test_decimals_keep_their_digits(self, server: Served) -> None:
        text = (
            '{"resourceType":"Observation","status":"final","code":{"text":"weight"},'
            '"valueQuantity":{"value":3.10,"unit":"kg"}}'
        )
        answer = server.http.post(
            "/Observation", content=text, headers={"Content-Type": "application/fhir+json"}
        )
        assert answer.status_code == 201
        assert '"value":3.10,' in server.http.get(f"/Observation/{answer.json()['id']}").text

    def test_if_none_exist_makes_one_resource_of_many_tries(self, server: Served) -> None:
        async def race() -> list[int]:
            async with httpx.AsyncClient(base_url=server.base_url) as http:
                criteria = {"If-None-Exist": f"identifier={NHS}|9990000026"}
                body = patient("9990000026")
                tries = (http.post("/Patient", json=body, headers=criteria) for _ in range(64))
                return [answer.status_code for answer in await asyncio.gather(*tries)]

        assert sorted(asyncio.run(race())) == [200] * 63 + [201]

    def test_the_mirrored_request_id_lets_a_caller_match_its_logs(self, server: Served) -> None:
        answer = server.http.get("/Patient/none", headers={"X-Request-ID": "a-b-c"})
        assert answer.headers["X-Request-ID"] == "a-b-c"


class TestUpdate:
    def test_versions_are_kept_and_a_stale_if_match_is_refused(self, server: Served) -> None:
        created = server.http.post("/Patient", json=patient("9990000034")).json()
        url = f"/Patient/{created['id']}"
        changed = {**created, "gender": "female"}
        answer = server.http.put(url, json=changed, headers={"If-Match": 'W/"1"'})
        assert (answer.status_code, answer.json()["meta"]["versionId"]) == (200, "2")
        stale = server.http.put(url, json=created, headers={"If-Match": 'W/"1"'})
        assert stale.status_code == 412
        assert "gender" not in server.http.get(f"{url}/_history/1").json()
        assert server.http.get(url).json()["gender"] == "female"

    def test_the_same_content_makes_no_new_version(self, server: Served) -> None:
        created = server.http.post("/Patient", json=patient("9990000042")).json()
        answer = server.http.put(f"/Patient/{created['id']}", json=created)
        assert (answer.status_code, answer.headers["ETag"]) == (200, 'W/"1"')

    def test_update_as_create_takes_the_callers_id(self, server: Served) -> None:
        body = {**patient("9990000050"), "id": "chosen-by-the-caller"}
        assert server.http.put("/Patient/chosen-by-the-caller", json=body).status_code == 201
        assert server.http.get("/Patient/chosen-by-the-caller").status_code == 200

    def test_an_id_that_differs_from_the_url_is_refused(self, server: Served) -> None:
        answer = server.http.put("/Patient/one", json={**patient("9990000050"), "id": "two"})
        assert answer.status_code == 400

    def test_unmodified_is_a_304(self, server: Served) -> None:
        created = server.http.post("/Patient", json=patient("9990000069")).json()
        url = f"/Patient/{created['id']}"
        answer = server.http.get(url, headers={"If-None-Match": 'W/"1"'})
        assert (answer.status_code, answer.content) == (304, b"")


class TestHeaders:
    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("GET", "/metadata", 200),
            ("GET", "/Patient/kept", 200),
            ("HEAD", "/Patient/kept", 200),
            ("GET", "/Patient?_id=kept", 200),
            ("GET", "/Patient/kept/_history", 200),
            ("GET", "/Patient/kept/$everything", 200),
            ("GET", "/Patient/nobody", 404),
            ("PUT", "/Patient/kept", 415),
            ("GET", "/nothing/here/at/all", 404),
        ],
    )
    def test_no_cache_keeps_an_answer_and_no_browser_guesses_what_it_is(
        self, server: Served, method: str, path: str, status: int
    ) -> None:
        server.http.put("/Patient/kept", json={**patient("9990000077"), "id": "kept"})
        answer = server.http.request(method, path)
        assert answer.status_code == status
        assert answer.headers.get_list("cache-control") == ["no-store"]
        assert answer.headers.get_list("x-content-type-options") == ["nosniff"]

    def test_what_is_not_modified_is_not_kept_either(self, server: Served) -> None:
        server.http.put("/Patient/kept", json={**patient("9990000077"), "id": "kept"})
        answer = server.http.get("/Patient/kept", headers={"If-None-Match": 'W/"1"'})
        assert (answer.status_code, answer.headers["cache-control"]) == (304, "no-store")

    @pytest.mark.parametrize("path", ["/", "/sign-in", "/health", "/session", "/no-such-page"])
    def test_no_browser_guesses_what_is_beside_it_either(self, server: Served, path: str) -> None:
        answer = httpx.get(server.base_url.removesuffix("/fhir") + path)
        assert answer.headers.get_list("x-content-type-options") == ["nosniff"]


class TestTransaction:
    def test_urns_become_literal_references_and_all_is_stored_at_once(self, server: Served) -> None:
        answer = server.http.post("/", json=_birth("9990000077"))
        assert answer.status_code == 200
        places = [entry["response"]["location"] for entry in answer.json()["entry"]]
        child, weight = (server.http.get(f"/{place}").json() for place in places)
        assert weight["subject"]["reference"] == f"Patient/{child['id']}"

    def test_one_bad_entry_stores_none_and_every_issue_names_its_entry(
        self, server: Served
    ) -> None:
        bundle = _birth("9990000085")
        bundle["entry"][1]["resource"]["status"] = "done"
        bundle["entry"][0]["resource"]["birthDate"] = "29/02/2020"
        answer = server.http.post("/", json=bundle)
        assert answer.status_code == 422
        found = {issue["expression"][0] for issue in issues(answer)}
        assert found == {
            "Bundle.entry[0].resource.birthDate",
            "Bundle.entry[1].resource.status",
        }
        assert _total(server, "Patient", f"identifier={NHS}|9990000085") == 0

    def test_a_reference_to_nobody_is_refused(self, server: Served) -> None:
        body = _birth("9990000093")["entry"][1]["resource"] | {
            "subject": {"reference": "Patient/nobody"}
        }
        answer = server.http.post("/Observation", json=body)
        assert answer.status_code == 422
        assert issues(answer)[0]["code"] == "not-found"

    def test_a_batch_answers_each_entry_on_its_own(self, server: Served) -> None:
        bundle = {**_birth("9990000107"), "type": "batch"}
        bundle["entry"][1]["resource"]["subject"] = {"reference": "Patient/nobody"}
        statuses = [
            e["response"]["status"] for e in server.http.post("/", json=bundle).json()["entry"]
        ]
        assert statuses == ["201 Created", "422 Unprocessable Entity"]


class TestSearch:
    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _children(cls, server: Served) -> None:
        for number, family, born in (
            ("9990000115", "Ångström-Testchild", "2021-05-04"),
            ("9990000123", "Angler-Testchild", "2022"),
        ):
            body = patient(number, name=[{"family": family}], birthDate=born)
            assert server.http.post("/Patient", json=body).status_code == 201

    @pytest.mark.parametrize(
        ("query", "total"),
        [
            (f"identifier={NHS}|9990000115", 1),
            ("identifier=9990000115", 1),
            (f"identifier={NHS}|9990000115,{NHS}|9990000123", 2),
            ("family=angstrom", 1),
            ("family=ang", 2),
            ("family:exact=Angler-Testchild", 1),
            ("family:exact=angler-testchild", 0),
            ("family:contains=gler", 1),
            ("birthdate=2021-05-04&family=ang", 1),
            ("birthdate=2021&family=ang", 1),
            ("birthdate=ge2021-05-05&family=ang", 1),
            ("birthdate=lt2022&family=ang", 1),
            ("gender=male&family=ang", 0),
        ],
    )
    def test_finds(self, server: Served, query: str, total: int) -> None:
        assert _total(server, "Patient", query) == total

    def test_pages_follow_next_to_the_end_without_repeating(self, server: Served) -> None:
        url: str | None = "/Patient?_count=3&_total=accurate"
        seen: list[str] = []
        while url:
            page = server.http.get(url).json()
            seen += [entry["resource"]["id"] for entry in page.get("entry", [])]
            url = next((link["url"] for link in page["link"] if link["relation"] == "next"), None)
        assert len(seen) == len(set(seen)) == page["total"]

    def test_post_search_is_get_search(self, server: Served) -> None:
        answer = server.http.post("/Patient/_search", data={"family": "ang"})
        assert answer.json()["total"] == 2

    @pytest.mark.parametrize(
        ("query", "hint"),
        [
            ("familly=x", "Did you mean family?"),
            ("birthdate=yesterday", "not a FHIR date"),
            ("family:above=x", "not supported"),
            ("_include=Patient:family", "no reference"),
            ("family.name=x", "cannot be chained"),
            ("_sort=familly", "Did you mean family?"),
        ],
    )
    def test_what_is_not_served_is_a_400_that_says_so(
        self, server: Served, query: str, hint: str
    ) -> None:
        answer = server.http.get(f"/Patient?{query}")
        assert answer.status_code == 400
        assert hint in issues(answer)[0]["diagnostics"]


class TestRefusals:
    def test_broken_json_is_a_400_and_is_kept(self, server: Served) -> None:
        answer = server.http.post(
            "/Patient", content=b'{"resourceType":', headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 400
        with opened(server.context.settings.database) as database:
            kept = list(inbox.every(database, "refused"))
        assert any(message.raw == b'{"resourceType":' for message in kept)

    def test_an_nhs_number_with_a_wrong_check_digit_is_refused(self, server: Served) -> None:
        answer = server.http.post("/Patient", json=patient("9990000019"))
        assert answer.status_code == 422
        assert issues(answer)[0]["expression"] == ["Patient.identifier[0]"]

    def test_an_unknown_element_suggests_the_right_one(self, server: Served) -> None:
        answer = server.http.post("/Patient", json=patient("9990000131", birthdate="2020-01-01"))
        assert answer.status_code == 422
        assert "birthDate" in issues(answer)[0]["diagnostics"]

    @pytest.mark.parametrize(
        ("method", "url", "status"),
        [
            ("GET", "/Patient/unknown", 404),
            ("GET", "/Patent", 404),
            ("PUT", "/metadata", 405),
            ("GET", "/Patient?_format=ttl", 406),
            ("GET", "/nothing/at/all/here/so", 404),
        ],
    )
    def test_status(self, server: Served, method: str, url: str, status: int) -> None:
        answer = server.http.request(method, url)
        assert answer.status_code == status
        assert issues(answer)

    def test_turtle_is_a_415_that_says_what_is_read(self, server: Served) -> None:
        headers = {"Content-Type": "text/turtle"}
        answer = server.http.post("/Patient", content=b"[] a fhir:Patient .", headers=headers)
        assert answer.status_code == 415
        assert "application/fhir+json" in issues(answer)[0]["diagnostics"]


def test_validate_stores_nothing(server: Served) -> None:
    answer = server.http.post("/Patient/$validate", json=patient("9990000019"))
    assert answer.status_code == 200
    assert issues(answer)[0]["severity"] == "error"
    assert _total(server, "Patient", f"identifier={NHS}|9990000019") == 0


def _birth(number: str) -> dict[str, Any]:
    child, weight = (
        "urn:uuid:00000000-0000-4000-8000-000000000001",
        "urn:uuid:00000000-0000-4000-8000-000000000002",
    )
    observation = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://snomed.info/sct", "code": "364589006"}]},
        "subject": {"reference": child},
        "valueQuantity": {"value": 3100, "unit": "g"},
    }
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {"fullUrl": child, "resource": patient(number), "request": {"method": "POST", "url": "Patient"}},
            {"fullUrl": weight, "resource": observation, "request": {"method": "POST", "url": "Observation"}},
        ],
    }  # fmt: skip


def _total(server: Served, kind: str, query: str) -> int:
    total: int = server.http.get(f"/{kind}?{query}&_summary=count").json()["total"]
    return total


def test_what_cannot_be_answered_is_refused_before_it_is_stored(server: Served) -> None:
    headers = {"Accept": "text/turtle"}
    before = _total(server, "Patient", "")
    answer = server.http.post("/Patient", json=patient("9990000158"), headers=headers)
    assert answer.status_code == 406
    assert _total(server, "Patient", "") == before


def test_the_base_takes_a_transaction_with_and_without_a_slash(server: Served) -> None:
    for url in (server.base_url, f"{server.base_url}/"):
        answer = httpx.post(url, json={"resourceType": "Bundle", "type": "transaction"})
        assert answer.status_code == 200
