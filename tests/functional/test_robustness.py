"""Whatever is sent, the answer says what is wrong with it: never a 5xx, and nothing is half done."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from fhir_server.interactions import transaction as transactions
from fhir_server.interactions.entries import MOST_READS, Entry
from fhir_server.rest.reading import DEEPEST
from r4.json import decode
from tests.support.server import Served

JSON = {"Content-Type": "application/fhir+json"}
PATIENT = {"resourceType": "Patient", "birthDate": "2020-02-29"}
POST = {"method": "POST", "url": "Patient"}


def bundle(*entries: Any, kind: str = "transaction") -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def asked(url: str) -> dict[str, Any]:
    return {"request": {"method": "GET", "url": url}}


def created(**request: Any) -> dict[str, Any]:
    return {"resource": PATIENT, "request": {**POST, **request}}


def refused(answer: httpx.Response) -> dict[str, Any]:
    issue: dict[str, Any] = answer.json()["issue"][0]
    return issue


def patients(server: Served) -> int:
    total: int = server.http.get("/Patient?_summary=count").json()["total"]
    return total


class TestBundleThatReads:
    def test_a_failing_get_of_a_transaction_answers_for_itself_alone(self, server: Served) -> None:
        before = patients(server)
        answer = server.http.post("/", json=bundle(created(), asked("Patient/nope")))
        assert answer.status_code == 200
        stored, missing = (entry["response"] for entry in answer.json()["entry"])
        assert (stored["status"], missing["status"]) == ("201 Created", "404 Not Found")
        assert missing["outcome"]["issue"][0]["code"] == "not-found"
        assert patients(server) == before + 1

    @pytest.mark.parametrize("query", ["familly=x", "birthdate=yesterday", "_count=many"])
    def test_a_search_that_is_not_served_stores_nothing(self, server: Served, query: str) -> None:
        before = patients(server)
        answer = server.http.post("/", json=bundle(created(), asked(f"Patient?{query}")))
        assert answer.status_code == 400
        assert refused(answer)["expression"] == ["Bundle.entry[1].request.url"]
        assert patients(server) == before

    @pytest.mark.parametrize("kind", ["batch", "transaction"])
    def test_a_bundle_may_not_read_without_end(self, server: Served, kind: str) -> None:
        reads = [asked("Patient?_count=1")] * (MOST_READS + 1)
        answer = server.http.post("/", json=bundle(*reads, kind=kind))
        assert answer.status_code == 413
        assert str(MOST_READS) in refused(answer)["diagnostics"]
        assert server.http.post("/", json=bundle(*reads[1:], kind=kind)).status_code == 200

    async def test_others_are_served_between_two_entries_of_a_batch(self, server: Served) -> None:
        for _ in range(3):
            children = [created() for _ in range(200)]
            assert server.http.post("/", json=bundle(*children)).status_code == 200
        reads = bundle(*[asked("Patient?_count=600")] * 60, kind="batch")
        async with httpx.AsyncClient(base_url=server.base_url, timeout=60) as http:
            long = asyncio.create_task(http.post("/", json=reads))
            await asyncio.sleep(0.05)
            await http.get("/Patient/none")
            assert not long.done()
            assert (await long).status_code == 200


class TestBatch:
    def test_an_entry_on_which_the_server_fails_answers_for_itself(
        self, server: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        execute = transactions.execute

        async def failing(context: Any, listed: list[Entry], *rest: Any, **more: Any) -> Any:
            if listed[0].place == "Bundle.entry[1]":
                raise RuntimeError("Testchild-Secret")
            return await execute(context, listed, *rest, **more)

        monkeypatch.setattr(transactions, "execute", failing)
        before = patients(server)
        answer = server.http.post("/", json=bundle(created(), created(), created(), kind="batch"))
        statuses = [entry["response"]["status"][:3] for entry in answer.json()["entry"]]
        assert statuses == ["201", "500", "201"]
        assert patients(server) == before + 2
        assert "Bundle.entry[1]" in caplog.text
        assert "Testchild-Secret" not in caplog.text


class TestWrongTypes:
    @pytest.mark.parametrize("wrong", [5, None, ["x"], {"a": 1}, True])
    @pytest.mark.parametrize("name", ["fullUrl", "url", "ifNoneExist", "ifMatch"])
    def test_in_an_entry(self, server: Served, name: str, wrong: Any) -> None:
        entry = created() if name == "fullUrl" else created(**{name: wrong})
        given = {**entry, "fullUrl": wrong} if name == "fullUrl" else entry
        answer = server.http.post("/", json=bundle(given))
        place = name if name == "fullUrl" else f"request.{name}"
        assert answer.status_code == 400
        assert refused(answer)["expression"] == [f"Bundle.entry[0].{place}"]

    @pytest.mark.parametrize(
        ("operation", "name", "others"),
        [
            ("Patient/$validate", "resource", {}),
            ("QuestionnaireResponse/$extract", "response", {}),
            ("QuestionnaireResponse/$process-response", "questionnaire-response", {}),
            ("QuestionnaireResponse/$sign", "response", {}),
            ("QuestionnaireResponse/$sign", "signer", {"response": PATIENT}),
            ("QuestionnaireResponse/$sign", "hospital", {"response": PATIENT}),
            ("Measure/$evaluate", "measureUrl", {}),
            ("Measure/$evaluate", "periodStart", {}),
            ("Measure/$evaluate", "subject", {}),
            ("Measure/$evaluate-measure", "reporter", {}),
        ],
    )
    @pytest.mark.parametrize("wrong", [5, None, ["x"], {"a": 1}, {"reference": 5}, True])
    def test_in_a_parameter(
        self, server: Served, operation: str, name: str, others: dict[str, Any], wrong: Any
    ) -> None:
        listed = [{"name": key, "resource": value} for key, value in others.items()]
        key = "resource" if name.endswith(("resource", "response")) else "valueAny"
        body = {"resourceType": "Parameters", "parameter": [*listed, {"name": name, key: wrong}]}
        answer = server.http.post(f"/{operation}", json=body)
        assert answer.status_code == 400
        assert refused(answer)["expression"] == [f"Parameters.parameter('{name}')"]

    @pytest.mark.parametrize(
        "listed", [5, "x", {"name": "resource"}, ["x"], [None], [{}], [{"name": {}}]]
    )
    def test_in_the_list_of_parameters(self, server: Served, listed: Any) -> None:
        body = {"resourceType": "Parameters", "parameter": listed}
        for operation in ("Patient/$validate", "QuestionnaireResponse/$sign", "Measure/$evaluate"):
            answer = server.http.post(f"/{operation}", json=body)
            assert answer.status_code == 400
            assert refused(answer)["expression"] == ["Parameters.parameter"]


class TestNoBody:
    @pytest.mark.parametrize("kind", ["application/fhir+json", "application/fhir+xml"])
    @pytest.mark.parametrize("path", ["/Patient", "/QuestionnaireResponse/$sign"])
    def test_an_empty_body_is_told_of_as_that(self, server: Served, path: str, kind: str) -> None:
        answer = server.http.post(path, content=b"", headers={"Content-Type": kind})
        assert answer.status_code == 400
        assert refused(answer)["expression"] == ["http.body"]


class TestNumbers:
    LONG = "9" * 5000

    @pytest.mark.parametrize(
        ("url", "status"),
        [
            (f"/Patient/x/_history/{LONG}", 404),
            ("/Patient/x/_history/99999999999999999999", 404),
            (f"/Patient/_history?_count={LONG}", 400),
            ("/Patient/_history?_count=99999999999999999999", 400),
            ("/Patient/_history?_before=99999999999999999999", 400),
        ],
    )
    def test_with_too_many_digits(self, server: Served, url: str, status: int) -> None:
        assert server.http.get(url).status_code == status

    @pytest.mark.parametrize("number", ["1e99999999999999999999", "9" * 5000])
    def test_that_cannot_be_read(self, server: Served, number: str) -> None:
        text = '{"resourceType":"Observation","valueQuantity":{"value":' + number + "}}"
        assert server.http.post("/Observation", content=text, headers=JSON).status_code == 400

    def test_with_an_exponent_beyond_reason_are_answered_at_once(self, server: Served) -> None:
        text = (
            '{"resourceType":"Observation","status":"final","code":{"text":"x"},'
            '"valueQuantity":{"value":1e999999999}}'
        )
        answer = server.http.post("/Observation", content=text, headers=JSON, timeout=5)
        assert answer.status_code < 500


class TestJson:
    @staticmethod
    def nested(depth: int) -> bytes:
        """A Patient with extensions in extensions, so many objects and arrays deep."""
        each = b'"extension":[{"url":"https://csor.example/x",'
        times = (depth - 1) // 2
        inside = b'"valueBoolean":true' + b"}]" * times
        return b'{"resourceType":"Patient",' + each * times + inside + b"}"

    @pytest.mark.parametrize("url", ["/Patient", "/Patient/$validate"])
    @pytest.mark.parametrize("depth", [DEEPEST + 2, 1001, 200_001])
    def test_nested_too_deep_is_refused(self, server: Served, url: str, depth: int) -> None:
        answer = server.http.post(url, content=self.nested(depth), headers=JSON)
        assert answer.status_code == 400
        assert refused(answer)["extension"][0]["valueString"] == "depth"

    def test_as_deep_as_is_taken_is_stored(self, server: Served) -> None:
        content = self.nested(DEEPEST)
        assert (
            server.http.post("/Patient/$validate", content=content, headers=JSON).status_code == 200
        )
        answer = server.http.post("/Patient", content=content, headers=JSON)
        assert answer.status_code == 201, answer.text
        assert server.http.get(f"/Patient/{answer.json()['id']}").json() == answer.json()

    @pytest.mark.parametrize(
        "text",
        [
            '{"resourceType":"Patient","gender":"male","gender":"female"}',
            '{"resourceType":"Patient","gender":"male","g\\u0065nder":"female"}',
            '{"resourceType":"Patient",\n "name":[{"family":"\\u00c5","text":"a","text":"b"}]}',
        ],
    )
    def test_a_key_given_twice_is_refused(self, server: Served, text: str) -> None:
        answer = server.http.post("/Patient", content=text, headers=JSON)
        assert answer.status_code == 400
        assert refused(answer)["extension"][0]["valueString"] == "duplicate-key"

    def test_another_spelling_of_the_same_is_taken(self, server: Served) -> None:
        text = ' {"name" : [{"family":"\\u00c5ngstr\\u00f6m"}],\r\n"resourceType": "Patient"} '
        answer = server.http.post("/Patient", content=text, headers=JSON)
        assert answer.status_code == 201
        assert answer.json()["name"] == decode(text)["name"]


class TestHeaders:
    @pytest.mark.parametrize("name", ["Host", "Origin"])
    @pytest.mark.parametrize("value", ["[", "http://[", "http://[::1"])
    def test_a_host_or_origin_that_is_none_is_refused(
        self, server: Served, name: str, value: str
    ) -> None:
        answer = server.http.get("/Patient", headers={name: value})
        assert answer.status_code in (400, 401)

    @pytest.mark.parametrize("since", ["", "x", "Mon, 01 Jan 0001 00:00:00 -0000", "0" * 5000])
    def test_an_if_modified_since_that_is_none_is_ignored(self, server: Served, since: str) -> None:
        made = server.http.post("/Patient", json=PATIENT).json()
        headers = {"If-Modified-Since": since}
        assert server.http.get(f"/Patient/{made['id']}", headers=headers).status_code == 200


class TestCriteria:
    def test_an_entry_whose_resource_has_another_id_is_refused(self, server: Served) -> None:
        for resource in ({**PATIENT, "id": "other"}, PATIENT):
            entry = {"resource": resource, "request": {"method": "PUT", "url": "Patient/mine"}}
            answer = server.http.post("/", json=bundle(entry))
            assert answer.status_code == 400
            assert refused(answer)["expression"] == ["Bundle.entry[0].resource.id"]
        assert server.http.get("/Patient/mine").status_code == 404

    @pytest.mark.parametrize("criteria", ["", "_id=", "_id=,", "identifier=", "gender=male&_id="])
    def test_blank_criteria_store_nothing(self, server: Served, criteria: str) -> None:
        before = patients(server)
        put = {"resource": PATIENT, "request": {"method": "PUT", "url": f"Patient?{criteria}"}}
        answers = [
            server.http.put(f"/Patient?{criteria}", json=PATIENT),
            server.http.post("/Patient", json=PATIENT, headers={"If-None-Exist": criteria}),
            server.http.post("/", json=bundle(created(ifNoneExist=criteria))),
            server.http.post("/", json=bundle(put)),
        ]
        assert {answer.status_code for answer in answers} <= {400, 412}
        assert patients(server) == before


def test_a_bundle_of_anything_is_refused_and_not_failed_on(server: Served) -> None:
    for entry in (
        None,
        5,
        "x",
        [],
        {},
        {"request": 5},
        {"request": {"method": {}, "url": "Patient"}},
    ):
        for kind in ("batch", "transaction"):
            answer = server.http.post(
                "/", content=json.dumps(bundle(entry, kind=kind)), headers=JSON
            )
            assert answer.status_code == 400
