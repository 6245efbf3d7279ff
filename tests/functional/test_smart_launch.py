"""A note is opened from the hospital's EPR by SMART App Launch 2, and from nowhere else."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import httpx
import pytest

from fhir_server.access.eprs import WRITE_BACK
from fhir_server.app import application, context
from fhir_server.context import Context
from fhir_server.operations import chart
from fhir_server.settings import Settings
from terminology.systems import CHI_NUMBER, GMC_NUMBER, NHS_NUMBER, ODS_ORGANIZATION, SNOMED_CT
from tests.support.databases import new_database
from tests.support.epr import CLIENT, Epr, registered
from tests.support.epr_chart import GMC, HOSPITAL, NHS
from tests.support.launching import HERE, Browser, browsing, registry

FORM = "https://csor.example/fhir/Questionnaire/operative-note-hirschsprung"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, epr: Epr) -> Iterator[Context]:
    with registry(epr, tmp_path_factory.mktemp("launch")) as found:
        yield found


@pytest.fixture
async def browser(made: Context, epr: Epr) -> AsyncIterator[Browser]:
    async with browsing(made, epr) as found:
        yield found


class TestLaunch:
    async def test_the_surgeon_comes_to_the_note_of_the_child_whose_chart_is_open(
        self, browser: Browser
    ) -> None:
        told = await browser.launched()
        assert told["user"]["display"] == "Ms Sana Demo-Surgeon"
        assert told["patient"] | {"reference": None} == {
            "reference": None,
            "display": "Wren Testchild",
            "birthDate": "2026-06-14",
            "nhsNumber": NHS,
        }
        assert told["hospital"]["display"] == "Demo Children's Hospital"
        assert told["writeBack"] is True
        assert (told["form"], told["response"]) == (None, None)

    async def test_child_surgeon_and_stay_are_stored_once(self, browser: Browser) -> None:
        first, second = await browser.launched(), await browser.launched()
        for name in ("user", "patient", "encounter", "hospital"):
            assert first[name]["reference"] == second[name]["reference"]
        child = await browser.read(first["patient"]["reference"])
        assert child["meta"]["versionId"] == "1"
        assert {"system": NHS_NUMBER, "value": NHS} in child["identifier"]
        assert child["birthDate"] == "2026-06-14"
        surgeon = await browser.read(first["user"]["reference"])
        assert surgeon["identifier"] == [{"system": GMC_NUMBER, "value": GMC}]
        stay = await browser.read(first["encounter"]["reference"])
        assert stay["subject"]["reference"] == first["patient"]["reference"]
        assert stay["serviceProvider"]["reference"] == first["hospital"]["reference"]

    async def test_what_the_form_asks_for_is_handed_on_under_the_ids_here(
        self, browser: Browser
    ) -> None:
        told = await browser.launched()
        found = [each["resource"] for each in told["data"]["entry"]]
        by_type = {each["resourceType"]: each for each in found}
        child, stay = told["patient"]["reference"], told["encounter"]["reference"]
        assert f"Patient/{by_type['Patient']['id']}" == child
        assert f"Encounter/{by_type['Encounter']['id']}" == stay
        assert f"Practitioner/{by_type['Practitioner']['id']}" == told["user"]["reference"]
        assert {e["subject"]["reference"] for e in found if "subject" in e} == {child}
        provider = by_type["Encounter"]["serviceProvider"]["identifier"]
        assert provider == {"system": ODS_ORGANIZATION, "value": HOSPITAL}
        team = [each["individual"]["display"] for each in by_type["Encounter"]["participant"]]
        assert team[1:] == ["Mr Aled Demo-Assistant", "Dr Ines Demo-Anaesthetist"]
        assert by_type["ServiceRequest"]["encounter"]["reference"] == stay
        assert [e["id"] for e in found if e["resourceType"] == "Condition"] == ["hirschsprung"]
        assert by_type["Procedure"]["code"]["coding"][0]["code"] == "H15.1"
        assert not [each for each in found if {"text", "meta"} & each.keys()]

    async def test_only_what_the_forms_ask_for_is_asked_of_the_epr(self, browser: Browser) -> None:
        browser.epr.asked.clear()
        await browser.launched()
        asked = {urlsplit(each.partition(" ")[2]).path for each in browser.epr.asked}
        assert {"/fhir/Patient/child", "/fhir/Encounter/stay", "/fhir/Condition"} <= asked
        searched = [each for each in browser.epr.asked if "/fhir/Observation" in each]
        assert all("code=" in each for each in searched)

    async def test_a_form_says_which_observations_are_asked_for(
        self, made: Context, epr: Epr
    ) -> None:
        asa = {"system": SNOMED_CT, "code": "302132005"}
        period = {"url": chart.LINK_PERIOD, "valueDuration": {"value": 30, "unit": "d"}}
        asked = {"linkId": "b", "type": "choice", "code": [asa], "extension": [period]}
        other = {"linkId": "c", "type": "choice", "code": [{"code": "not-asked-for"}]}
        group = {"linkId": "a", "type": "group", "item": [asked, other]}
        forms = {FORM: {"resourceType": "Questionnaire", "version": "1", "item": [group]}}
        async with browsing(replace(made, forms=forms), epr) as browser:
            told = await browser.launched()
        found = [each["resource"] for each in told["data"]["entry"]]
        assert [e["id"] for e in found if e["resourceType"] == "Observation"] == ["asa"]

    async def test_what_the_epr_does_not_show_is_left_to_the_surgeon(
        self, browser: Browser
    ) -> None:
        browser.epr.faults["unreadable"] = ("Encounter", "Condition", "ServiceRequest")
        told = await browser.launched()
        assert told["encounter"] is None
        kinds = [each["resource"]["resourceType"] for each in told["data"]["entry"]]
        assert kinds == ["Patient", "Practitioner", "Procedure", "Observation"]

    async def test_the_launch_may_name_the_form_and_a_draft(self, browser: Browser) -> None:
        told = await browser.launched(context=[{"canonical": f"{FORM}|0.0.1"}])
        assert told["form"].startswith(f"{FORM}|")
        draft = {
            "resourceType": "QuestionnaireResponse",
            "status": "in-progress",
            "questionnaire": told["form"],
            "subject": {"reference": told["patient"]["reference"]},
            "author": {"reference": told["user"]["reference"]},
        }
        secret = {"X-CSRF-Token": told["csrf"], "Origin": HERE}
        stored = await browser.http.post("/fhir/QuestionnaireResponse", json=draft, headers=secret)
        place = f"{HERE}/fhir/QuestionnaireResponse/{stored.json()['id']}"
        for named in ({"reference": place}, {"canonical": FORM}):
            told = await browser.launched(context=[named])
            assert told["response"] == stored.json()["id"]

    async def test_a_standalone_launch_lets_the_user_pick_the_child(self, browser: Browser) -> None:
        answer = await browser.goes(f"{HERE}/launch?{urlencode({'iss': browser.epr.issuer})}")
        assert answer.headers["location"] == "/note"
        told = (await browser.http.get("/session")).json()
        assert (told["patient"]["nhsNumber"], told["encounter"]) == (NHS, None)

    async def test_another_launch_ends_the_session_before(self, browser: Browser) -> None:
        await browser.launched()
        before = browser.http.cookies["csor"]
        await browser.launched()
        browser.http.cookies.clear()
        browser.http.cookies.set("csor", before, domain="localhost.local")
        assert (await browser.http.get("/session")).status_code == 401

    async def test_it_asks_as_smart_says(self, browser: Browser) -> None:
        begun = await browser.http.get(browser.epr.launch(HERE))
        asked = parse_qs(urlsplit(begun.headers["location"]).query)
        assert asked["aud"] == [browser.epr.issuer]
        assert asked["code_challenge_method"] == ["S256"]
        scopes = asked["scope"][0].split()
        assert {"launch", "openid", "fhirUser", "patient/Patient.r", WRITE_BACK} <= set(scopes)
        assert not {"code_verifier", "client_assertion"} & asked.keys()
        assert "HttpOnly; SameSite=Lax; Max-Age=600" in begun.headers["set-cookie"]


class TestRefusal:
    """Each is a page in plain words; no session is opened."""

    async def refused(self, browser: Browser, url: str, status: int, words: str) -> None:
        answer = await browser.goes(url)
        assert (answer.status_code, words in unescape(answer.text)) == (status, True), answer.text
        assert answer.headers["content-type"].startswith("text/html")
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert (await browser.http.get("/session")).status_code == 401

    async def test_an_issuer_that_is_not_registered_is_asked_nothing(
        self, browser: Browser
    ) -> None:
        browser.epr.asked.clear()
        for issuer in ("https://evil.example/fhir", f"{browser.epr.base_url}/other", ""):
            url = f"{HERE}/launch?{urlencode({'iss': issuer, 'launch': 'x'})}"
            await self.refused(browser, url, 403, "not registered")
        assert browser.epr.asked == []

    async def test_a_state_is_good_for_one_use(self, browser: Browser) -> None:
        back = await browser.callback()
        assert (await browser.http.get(back)).status_code == 302
        browser.http.cookies.delete("csor")
        await self.refused(browser, back, 403, "used already")

    async def test_a_state_is_good_in_its_own_browser_alone(self, browser: Browser) -> None:
        back = await browser.callback()
        browser.http.cookies.clear()
        await self.refused(browser, back, 403, "not known")

    @pytest.mark.parametrize("state", ["", "guessed"])
    async def test_a_state_that_nobody_gave_is_refused(self, browser: Browser, state: str) -> None:
        url = f"{HERE}/callback?{urlencode({'code': 'x', 'state': state})}"
        await self.refused(browser, url, 403, "not known")

    async def test_a_launch_is_done_within_ten_minutes(
        self, browser: Browser, made: Context
    ) -> None:
        back = await browser.callback()
        made.now.ahead = timedelta(minutes=10)  # type: ignore[attr-defined]
        await self.refused(browser, back, 403, "took too long")

    async def test_a_code_is_no_use_to_whoever_has_not_the_verifier(self, browser: Browser) -> None:
        """A stolen code is spent in another launch: the EPR sees that the challenge was another."""
        stolen = dict(parse_qsl(urlsplit(await browser.callback()).query))["code"]
        own = dict(parse_qsl(urlsplit(await browser.callback()).query))["state"]
        url = f"{HERE}/callback?{urlencode({'code': stolen, 'state': own})}"
        await self.refused(browser, url, 502, "status 400 (invalid_grant)")

    @pytest.mark.parametrize(
        ("fault", "words"),
        [
            ({"id_token": "none"}, "does not hold"),
            ({"id_token": "forged"}, "does not hold (bad_signature)"),
            ({"claims": {"nonce": "another"}}, "does not hold"),
            ({"claims": {"iss": "https://evil.example"}}, "does not hold"),
            ({"claims": {"aud": "another-app"}}, "does not hold"),
            ({"claims": {"aud": [CLIENT, "another-app"]}}, "another application's too"),
            ({"claims": {"exp": 1_700_000_000}}, "does not hold (expired_token)"),
            ({"token": 500}, "status 500"),
            ({"configuration": {"code_challenge_methods_supported": ["plain"]}}, "PKCE"),
            ({"configuration": {"token_endpoint": "http://evil.example/token"}}, "https"),
            ({"unreadable": ("Patient",)}, "status 403"),
        ],
        ids=str,
    )
    async def test_an_epr_that_is_not_to_be_trusted_opens_nothing(
        self, browser: Browser, fault: dict[str, Any], words: str
    ) -> None:
        browser.epr.faults.update(fault)
        await self.refused(browser, browser.epr.launch(HERE), 502, words)

    async def test_an_answer_of_another_issuer_is_refused(self, browser: Browser) -> None:
        back = await browser.callback()
        await self.refused(browser, f"{back}&iss=https://evil.example", 502, "another system's")

    async def test_the_epr_says_no(self, browser: Browser) -> None:
        browser.epr.faults["authorize"] = "access_denied"
        await self.refused(browser, browser.epr.launch(HERE), 403, "(access_denied)")

    @pytest.mark.parametrize(
        ("launch", "status", "words"),
        [
            ({"patient": None}, 422, "without a child"),
            ({"patient": "unnumbered", "encounter": None}, 422, "no NHS or CHI number"),
            ({"user": "Practitioner/assistant"}, 403, "no GMC number"),
            ({"user": "Patient/child"}, 403, "which practitioner"),
        ],
    )
    async def test_who_is_not_known_by_number_is_told_so(
        self, browser: Browser, launch: dict[str, Any], status: int, words: str
    ) -> None:
        await self.refused(browser, browser.epr.launch(HERE, **launch), status, words)

    async def test_another_date_of_birth_is_another_child(self, browser: Browser) -> None:
        known = {
            "resourceType": "Patient",
            "identifier": [{"system": CHI_NUMBER, "value": "1401169902"}],
            "birthDate": "2015-01-14",
        }
        assert (await browser.http.post("/fhir/Patient", json=known)).status_code == 201
        launch = browser.epr.launch(HERE, patient="stranger", encounter=None)
        await self.refused(browser, launch, 409, "another date of birth")

    async def test_a_hospital_that_the_registry_does_not_know_opens_nothing(
        self, epr: Epr, tmp_path: Path
    ) -> None:
        epr.faults.clear()
        with registry(epr, tmp_path) as made:
            transport = httpx.ASGITransport(application(made), client=("127.0.0.1", 1))
            async with httpx.AsyncClient(transport=transport, base_url=HERE) as http:
                browser = Browser(http, epr)
                words = f"hospital {HOSPITAL} is not registered"
                await self.refused(browser, epr.launch(HERE), 422, words)


async def test_a_record_that_was_merged_leads_to_the_one_that_stands(browser: Browser) -> None:
    """The EPR may know a child by the number of a record that the registry has merged."""
    stands = {
        "resourceType": "Patient",
        "name": [{"family": "Stranger"}],
        "birthDate": "2016-01-14",
    }
    place = f"Patient/{(await browser.http.post('/fhir/Patient', json=stands)).json()['id']}"
    retired = {
        "resourceType": "Patient",
        "active": False,
        "identifier": [{"system": NHS_NUMBER, "value": "9990007020"}],
        "link": [{"other": {"reference": place}, "type": "replaced-by"}],
    }
    assert (await browser.http.post("/fhir/Patient", json=retired)).status_code == 201
    merged = browser.epr.chart["Patient/stranger"] | {"id": "merged"}
    merged["identifier"] = [{"system": NHS_NUMBER, "value": "9990007020"}]
    browser.epr.chart["Patient/merged"] = merged
    told = await browser.launched(patient="merged", encounter=None, context=[])
    assert told["patient"]["reference"] == place


@pytest.mark.parametrize(
    ("host", "base_url"),
    [("127.0.0.1", "http://registry.example/fhir"), ("192.0.2.7", "http://127.0.0.1:8000/fhir")],
)
def test_sessions_are_not_served_to_others_without_tls(
    tmp_path: Path, epr: Epr, host: str, base_url: str
) -> None:
    file = registered(epr, tmp_path / "eprs.toml")
    given = {"base_url": base_url, "fhir_host": host, "epr_servers": file}
    settings = Settings(database=new_database("sqlite", tmp_path), **given)
    made = context(settings)
    with pytest.raises(ValueError, match="https"):
        application(made)
    made.database.close()


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ('issuer = "http://epr.example/fhir"', "https"),
        ('issuer = "https://epr.example/fhir"\nhospital = "no code"', "ODS"),
        ('issuer = "https://epr.example/fhir"\nwriteback = true', "writeback"),
        ('issuer = "https://epr.example/fhir"\nkey = "absent.pem"', "absent.pem"),
        ("", "issuer"),
    ],
)
def test_a_fault_in_the_file_of_eprs_stops_the_start(
    tmp_path: Path, table: str, reason: str
) -> None:
    file = tmp_path / "eprs.toml"
    hospital = "" if "hospital" in table else 'hospital = "RTH"\n'
    file.write_text(f'[[epr]]\nname = "x"\nclient_id = "y"\n{hospital}{table}\n')
    database = new_database("sqlite", tmp_path)
    made = context(Settings(database=database, epr_servers=file))
    with pytest.raises(ValueError, match=reason):
        application(made)
    made.database.close()
