"""A note is opened from the hospital's EPR by SMART App Launch 2, and from nowhere else."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import httpx
import pytest
from joserfc.jwk import ECKey

from fhir_server.access.eprs import WRITE_BACK
from fhir_server.app import application, context
from fhir_server.context import Context
from fhir_server.settings import Settings
from terminology.systems import CHI_NUMBER, GMC_NUMBER, NHS_NUMBER, ODS_ORGANIZATION
from tests.support.databases import new_database
from tests.support.epr import CLIENT, Epr, opened, registered
from tests.support.epr_chart import GMC, HOSPITAL, NHS

HERE = "http://localhost"
FORM = "https://csor.example/fhir/Questionnaire/operative-note-hirschsprung"
CLIENT_KEY = ECKey.generate_key("P-384")


@pytest.fixture(scope="module")
def epr() -> Iterator[Epr]:
    with opened(Epr(redirects={f"{HERE}/callback"})) as found:
        yield found


@dataclass
class Clock:
    ahead: timedelta = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, epr: Epr) -> Iterator[Context]:
    folder = tmp_path_factory.mktemp("launch")
    (folder / "key.pem").write_bytes(CLIENT_KEY.as_pem(private=True))
    file = registered(epr, folder / "eprs.toml")
    file.write_text(file.read_text() + 'key = "key.pem"\n')
    epr.client_key = CLIENT_KEY
    database = new_database("sqlite", folder)
    settings = Settings(database=database, base_url=f"{HERE}/fhir", epr_servers=file)
    found = context(settings, now=Clock())
    yield found
    found.database.close()


def _outside(url: str) -> httpx.Response:
    """Ask the EPR, without reading the certificates for TLS, which it has none of."""
    return httpx.get(url, verify=False, trust_env=False)  # noqa: S501


@dataclass
class Browser:
    """A browser on the registry's machine, and the EPR that it has open."""

    http: httpx.AsyncClient
    epr: Epr

    async def goes(self, url: str) -> httpx.Response:
        """Follow the EPR's redirects; those of the registry are returned."""
        while True:
            is_here = url.startswith((HERE, "/"))
            answer = await self.http.get(url) if is_here else _outside(url)
            place = answer.headers.get("location", "")
            if answer.status_code != 302 or (is_here and place.startswith("/")):
                return answer
            url = place

    async def launched(self, **context: Any) -> dict[str, Any]:
        """Launch, and return what GET /session says."""
        answer = await self.goes(self.epr.launch(HERE, **context))
        assert (answer.status_code, answer.headers.get("location")) == (302, "/note"), answer.text
        told: dict[str, Any] = (await self.http.get("/session")).json()
        return told

    async def callback(self, **context: Any) -> str:
        """Launch up to where the EPR sends the browser back."""
        begun = await self.http.get(self.epr.launch(HERE, **context))
        return str(_outside(begun.headers["location"]).headers["location"])

    async def read(self, place: str) -> dict[str, Any]:
        """Read from the registry, as the registry."""
        transport = self.http._transport
        async with httpx.AsyncClient(transport=transport, base_url=HERE) as registry:
            found: dict[str, Any] = (await registry.get(f"/fhir/{place}")).json()
        return found


@pytest.fixture
async def browser(made: Context, epr: Epr) -> AsyncIterator[Browser]:
    made.now.ahead = timedelta(0)  # type: ignore[attr-defined]
    epr.faults.clear()
    transport = httpx.ASGITransport(application(made), client=("127.0.0.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url=HERE) as http:
        hospital = {
            "resourceType": "Organization",
            "identifier": [{"system": ODS_ORGANIZATION, "value": HOSPITAL}],
            "name": "Demo Children's Hospital",
        }
        once = {"If-None-Exist": f"identifier={ODS_ORGANIZATION}|{HOSPITAL}"}
        assert (await http.post("/fhir/Organization", json=hospital, headers=once)).is_success
        yield Browser(http, epr)


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

    async def test_what_the_epr_does_not_show_is_left_to_the_surgeon(
        self, browser: Browser
    ) -> None:
        browser.epr.faults["unreadable"] = ("Encounter", "Condition", "ServiceRequest")
        told = await browser.launched()
        assert told["encounter"] is None
        kinds = [each["resource"]["resourceType"] for each in told["data"]["entry"]]
        assert kinds == ["Patient", "Practitioner", "Procedure"]

    async def test_the_launch_may_name_the_form_and_a_draft(self, browser: Browser) -> None:
        told = await browser.launched(context=[{"canonical": f"{FORM}|0.0.1"}])
        assert told["form"].startswith(f"{FORM}|")
        draft = {
            "resourceType": "QuestionnaireResponse",
            "status": "in-progress",
            "questionnaire": FORM,
            "subject": {"reference": told["patient"]["reference"]},
        }
        secret = {"X-CSRF-Token": told["csrf"], "Origin": HERE}
        stored = await browser.http.post("/fhir/QuestionnaireResponse", json=draft, headers=secret)
        place = f"{HERE}/fhir/QuestionnaireResponse/{stored.json()['id']}"
        told = await browser.launched(context=[{"reference": place}])
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
