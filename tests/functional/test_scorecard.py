"""The scorecard: what a client's traffic has shown is read from what is stored of it, and of no other's."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc.jwk import ECKey

from fhir_server.__main__ import main
from fhir_server.access.integrator import may_see
from fhir_server.context import Principal
from fhir_server.operations.scorecard_scenarios import scenarios
from profiles.validate import validate
from r4.json import decode
from terminology import Terminology
from tests.support.backend import CLIENTS, STATIC, Backend, backend, bearer

NHS = "https://fhir.nhs.uk/Id/nhs-number"
NUMBER, OTHER = "9990000018", "9999999484"
ODS = "https://fhir.nhs.uk/Id/ods-organization-code"
FOREIGN = ECKey.generate_key("P-384")
HOSPITAL = """
[[client]]
name = "ward"
hospitals = ["RTH"]
scopes = "system/*.cruds"
jwks = "epr.jwks.json"
"""
CODE = {"coding": [{"system": "http://snomed.info/sct", "code": "27113001"}]}


def patient(number: str = NUMBER, **more: Any) -> dict[str, Any]:
    identifier = [{"system": NHS, "value": number}]
    name = [{"family": "Testchild-Wren", "given": ["Fictitious"]}]
    return {
        "resourceType": "Patient", "identifier": identifier, "name": name, "birthDate": "2025-02-03", **more,
    }  # fmt: skip


def visit(child: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Encounter",
        "status": "in-progress",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
        "subject": {"reference": child},
        "period": {"start": "2025-02-04T09:00:00Z"},
        "serviceProvider": {"reference": f"Organization?identifier={ODS}|RTH"},
        **more,
    }


class Vendor:
    """An integrator's program, with a token got by its key."""

    def __init__(self, found: Backend, headers: dict[str, str]) -> None:
        self.found, self.headers = found, headers

    async def send(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        return await self.found.http.request(
            method, f"/fhir/{path}", json=body, headers={**self.headers, **headers}
        )

    async def stored(self, body: dict[str, Any]) -> str:
        answer = await self.send("POST", body["resourceType"], body)
        assert answer.status_code == 201, answer.text
        return f"{body['resourceType']}/{answer.json()['id']}"

    async def report(self, **asked: str) -> dict[str, Any]:
        query = "&".join(f"{name}={value}" for name, value in asked.items())
        answer = await self.send("GET", f"TestReport/$scorecard?{query}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = decode(answer.content)
        return found

    async def results(self) -> dict[str, tuple[str, str]]:
        return results(await self.report())


def results(report: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Return the result and the message of each test, by `group, door: id`."""
    told = ((each["name"], each["action"][0]["assert"]) for each in report["test"])
    return {name.partition(", ")[2]: (said["result"], said["message"]) for name, said in told}


async def vendor(found: Backend, name: str) -> Vendor:
    found.name, found.scope = name, "system/*.cruds"
    return Vendor(found, bearer(await found.token()))


async def with_hospital(found: Backend) -> None:
    body = {"resourceType": "Organization", "identifier": [{"system": ODS, "value": "RTH"}]}
    answer = await found.http.post("/fhir/Organization", json=body, headers=bearer(STATIC))
    assert answer.status_code == 201, answer.text


async def test_nothing_is_tried_at_first_but_the_token(tmp_path: Path) -> None:
    async with backend(tmp_path) as found:
        shown = await (await vendor(found, "everything")).results()
    assert shown.pop("FHIR: token")[0] == "pass"
    assert {result for result, _ in shown.values()} == {"skip"}
    assert all(said.startswith("Not yet tried. ") for _, said in shown.values())
    assert {each.id for each in scenarios()} >= {name.partition(": ")[2] for name in shown}


async def test_a_client_shows_every_scenario_by_fhir(tmp_path: Path) -> None:
    async with backend(tmp_path, CLIENTS + HOSPITAL) as found:
        await with_hospital(found)
        mine = await vendor(found, "everything")
        await everything(mine)
        await foreign(found)
        await refused_beyond(found)
        report = await mine.report()
    shown = {name: told for name, told in results(report).items() if name.startswith("FHIR")}
    assert len(shown) == 15
    assert {name: told for name, told in shown.items() if told[0] != "pass"} == {}
    issues = validate(report, Terminology.load(), now="2026-11-23T09:00:00Z")
    assert [issue for issue in issues if issue.is_error] == []


async def everything(mine: Vendor) -> None:
    """Do each scenario once."""
    once = {"If-None-Exist": f"identifier={NHS}|{NUMBER}"}
    first = await mine.send("POST", "Patient", patient(), **once)
    again = await mine.send("POST", "Patient", patient(), **once)
    assert (first.status_code, again.status_code) == (201, 200)
    child = f"Patient/{first.json()['id']}"
    wrong = await mine.send("POST", "Patient", patient("9990000019"))
    assert wrong.status_code == 422
    mine.found.clock.forward(1)
    other = await mine.stored(patient(OTHER))
    stay = await mine.stored(visit(child))
    ward = await mine.stored({"resourceType": "Location", "name": "Ward"})
    start = {"start": "2025-02-04T09:00:00Z"}
    places = [
        {"location": {"reference": ward}, "status": "completed", "period": start},
        {"location": {"reference": ward}, "status": "active", "period": start},
    ]
    key = stay.partition("/")[2]
    for more in (
        {"location": places},
        {"status": "finished", "period": {**start, "end": "2025-02-09T09:00:00Z"}},
    ):
        moved = await mine.send("PUT", stay, visit(child, id=key, **more))
        assert moved.status_code == 200, moved.text
    about = {"subject": {"reference": child}}
    within = {**about, "encounter": {"reference": stay}}
    await mine.stored(
        {"resourceType": "Procedure", "status": "completed", "code": CODE,
         "performedDateTime": "2025-02-05", **within}
    )  # fmt: skip
    weight = {
        "resourceType": "Observation", "status": "final", "code": CODE, "effectiveDateTime": "2025-02-04",
        "valueQuantity": {"value": 3.1, "unit": "kg"}, **within,
    }  # fmt: skip
    measured = await mine.stored(weight)
    amended = {**weight, "id": measured.partition("/")[2], "status": "amended"}
    assert (await mine.send("PUT", measured, amended)).status_code == 200
    await mine.stored(
        {"resourceType": "DocumentReference", "status": "current", "type": CODE, **about,
         "content": [{"attachment": {"contentType": "text/plain", "data": "bm90ZQ=="}}],
         "context": {"encounter": [{"reference": stay}]}}
    )  # fmt: skip
    link = [{"other": {"reference": child}, "type": "replaced-by"}]
    gone = patient(OTHER, id=other.partition("/")[2], active=False, link=link)
    assert (await mine.send("PUT", other, gone)).status_code == 200
    assert (await mine.send("GET", f"Patient?identifier={NHS}|{NUMBER}")).status_code == 200


async def foreign(found: Backend) -> None:
    answer = await found.ask(found.assertion(key=FOREIGN))
    assert answer.status_code == 400


async def refused_beyond(found: Backend) -> None:
    found.scope = "system/Patient.rs"
    narrow = Vendor(found, bearer(await found.token()))
    assert (await narrow.send("GET", "Encounter")).status_code == 403


async def test_a_refused_write_fails_with_the_words_that_say_what_to_mend(tmp_path: Path) -> None:
    async with backend(tmp_path, CLIENTS + HOSPITAL) as found:
        await with_hospital(found)
        for name in ("everything", "ward"):
            mine = await vendor(found, name)
            assert (await mine.send("POST", "Patient", patient("9990000019"))).status_code == 422
            shown = await mine.results()
            for scenario in ("FHIR: identity", "FHIR: mended"):
                result, said = shown[scenario]
                assert result == "fail"
                assert "correct the number" in said
            assert shown["FHIR: admission"][0] == "skip"


async def test_what_is_stored_and_lacks_something_fails_with_what_to_add(tmp_path: Path) -> None:
    async with backend(tmp_path, CLIENTS + HOSPITAL) as found:
        await with_hospital(found)
        mine = await vendor(found, "everything")
        child = await mine.stored(patient())
        await mine.stored({**visit(child), "period": {"end": "2025-02-04T09:00:00Z"}})
        result, said = (await mine.results())["FHIR: admission"]
    assert result == "fail"
    assert said.endswith("The Encounter does not say when it began: add period.start.")


async def test_a_create_that_finds_its_resource_in_a_transaction_counts_as_sent_again(
    tmp_path: Path,
) -> None:
    request = {"method": "POST", "url": "Patient", "ifNoneExist": f"identifier={NHS}|{NUMBER}"}
    entry = [{"resource": patient(), "request": request}]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entry}
    async with backend(tmp_path) as found:
        mine = await vendor(found, "everything")
        assert (await mine.send("POST", "", bundle)).status_code == 200
        assert (await mine.results())["FHIR: duplicate"][0] == "skip"
        assert (await mine.send("POST", "", bundle)).status_code == 200
        assert (await mine.results())["FHIR: duplicate"][0] == "pass"


async def test_whose_scorecard_is_shown(tmp_path: Path) -> None:
    async with backend(tmp_path, CLIENTS + HOSPITAL) as found:
        await (await vendor(found, "everything")).stored(patient())
        ward = await vendor(found, "ward")
        registry = Vendor(found, bearer(STATIC))
        assert results(await registry.report(client="everything"))["FHIR: identity"][0] == "pass"
        assert (await ward.results())["FHIR: identity"][0] == "skip"
        others = [
            await ward.send("GET", f"TestReport/$scorecard?client={name}")
            for name in ("everything", "nobody")
        ]
    assert [answer.status_code for answer in others] == [404, 404]
    said = [answer.text.replace("nobody", "everything") for answer in others]
    assert said[0] == said[1]


@pytest.mark.parametrize(
    ("hospitals", "theirs", "is_shown"),
    [("RTH RGT", "RTH", True), ("RTH", "RTH RGT", False), ("RTH", "", False), ("", "RTH", False)],
)
def test_an_integrator_sees_the_clients_of_their_own_hospitals(
    hospitals: str, theirs: str, is_shown: bool
) -> None:
    person = Principal("ann", frozenset({"integrator"}), hospitals=frozenset(hospitals.split()))
    assert may_see(person, "epr", theirs.split()) is is_shown


async def test_the_command_says_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with backend(tmp_path) as found:
        mine = await vendor(found, "everything")
        await mine.stored(patient())
        await mine.send("POST", "Patient", patient("9990000019"))
        await found.made.audit.flush()
    monkeypatch.setenv("CSOR_DATABASE", str(tmp_path / "csor.db"))
    monkeypatch.setenv("CSOR_CLIENTS", str(tmp_path / "clients.toml"))
    assert main(["scorecard", "everything"]) == 1
    text = capsys.readouterr().out
    assert "PASSED         A child is known by the NHS or CHI number (FHIR)" in text
    assert "FAILED         What was refused is mended and sent again (FHIR)" in text
    assert "2 passed, 1 failed" in text
    assert main(["scorecard", "everything", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["passed"], told["failed"]) == (2, 1)
    assert {each["state"] for each in told["scenarios"]} == {"passed", "failed", "open"}
    assert main(["scorecard", "nobody"]) == 1
    assert "no client and no sender is named nobody" in capsys.readouterr().err


async def test_a_purge_leaves_nothing_of_why_writes_were_refused(tmp_path: Path) -> None:
    async with backend(tmp_path, CLIENTS + HOSPITAL) as found:
        registry = Vendor(found, bearer(STATIC))
        child = await registry.stored(patient())
        ward = await vendor(found, "ward")
        await ward.send("POST", "Patient", patient("9990000019"))
        reasons = "SELECT reason FROM refusal"
        assert len(found.made.database.read(reasons)) == 1
        asked = {
            "resourceType": "Parameters",
            "parameter": [{"name": "reason", "valueString": "erasure"}],
        }
        answer: httpx.Response = await registry.send("POST", f"{child}/$purge", asked)
        assert answer.status_code == 200, answer.text
        assert found.made.database.read(reasons) == []


async def test_what_is_mended_at_once_counts_though_its_refusal_is_recorded_later(
    tmp_path: Path,
) -> None:
    async with backend(tmp_path) as found:
        mine = await vendor(found, "everything")
        assert (await mine.send("POST", "Patient", patient("9990000019"))).status_code == 422
        found.clock.forward(0.01)
        await mine.stored(patient())
        assert (await mine.results())["FHIR: mended"][0] == "pass"
