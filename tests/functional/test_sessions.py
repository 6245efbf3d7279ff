"""A session stands for one surgeon with one child, ends by itself, and sees nobody else's records."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from fhir_server.access import SURGEON, admit
from fhir_server.access.sessions import IDLE, LONGEST, Session, Sessions, cookie
from fhir_server.app import application, context
from fhir_server.context import Context, Principal
from fhir_server.rest import confined
from fhir_server.rest.answers import Asked
from fhir_server.rest.request import Request
from fhir_server.rest.routes import TABLE
from fhir_server.settings import Settings
from r4 import definitions
from r4.issue import FhirError
from r4.json import decode, encode
from tests.support.databases import new_database

HERE = "http://localhost"
NOTE = "https://csor.example/fhir/sid/note"
FORM = "https://csor.example/fhir/Questionnaire/operative-note-hirschsprung"


@dataclass
class Clock:
    now: datetime = field(default_factory=lambda: datetime(2026, 11, 23, 9, 0, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Theatre:
    """A registry with two children, and a browser on the same machine that holds a session of one."""

    http: httpx.AsyncClient
    sessions: Sessions
    clock: Clock
    places: dict[str, str]

    @contextmanager
    def open(self, child: str = "ann", surgeon: str = "surgeon") -> Iterator[Session]:
        principal = Principal(
            self.places[surgeon],
            frozenset({SURGEON}),
            self.places[child],
            self.places[surgeon],
            self.places["hospital"],
        )
        told = {"patient": {"reference": self.places[child]}, "form": None}
        value, session = self.sessions.open(principal, told)
        self.http.cookies.set("csor", value, domain="localhost.local")
        self.http.headers["X-CSRF-Token"] = session.csrf
        self.http.headers["Origin"] = HERE
        yield session
        self.http.cookies.clear()
        del self.http.headers["X-CSRF-Token"], self.http.headers["Origin"]

    def draft(self, child: str = "ann", **more: Any) -> dict[str, Any]:
        return {
            "resourceType": "QuestionnaireResponse",
            "status": "in-progress",
            "questionnaire": FORM,
            "subject": {"reference": self.places[child]},
            "author": {"reference": self.places["surgeon"]},
            "authored": "2026-11-23T09:00:00Z",
            **more,
        }

    async def stored(self, resource: dict[str, Any]) -> str:
        answer = await self.http.post(f"/fhir/{resource['resourceType']}", json=resource)
        assert answer.status_code == 201, answer.text
        return f"{resource['resourceType']}/{answer.json()['id']}"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Context]:
    database = new_database("sqlite", tmp_path_factory.mktemp("theatre"))
    found = context(Settings(database=database), now=Clock())
    yield found
    found.database.close()


@pytest.fixture
async def theatre(made: Context) -> AsyncIterator[Theatre]:
    """The registry of this module, another day, with two children of this test's own."""
    clock = made.now
    assert isinstance(clock, Clock)
    clock.now = Clock().now
    door = application(made)
    assert door.callers.sessions is not None
    transport = httpx.ASGITransport(door, client=("127.0.0.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url=HERE) as http:
        found = Theatre(http, door.callers.sessions, clock, {})
        for name, resource in {
            "ann": {"resourceType": "Patient", "name": [{"family": "Ann"}]},
            "bob": {"resourceType": "Patient", "name": [{"family": "Bob"}]},
            "surgeon": {"resourceType": "Practitioner", "name": [{"family": "Surgeon"}]},
            "other surgeon": {"resourceType": "Practitioner", "name": [{"family": "Other"}]},
            "hospital": {"resourceType": "Organization", "name": "Hospital"},
        }.items():
            found.places[name] = await found.stored(resource)
        yield found


class TestCookie:
    def test_it_is_bound_to_the_host_and_kept_from_scripts(self) -> None:
        given = cookie("https://registry.example/fhir", embedded=False).given("secret")
        assert given == "__Host-csor=secret; Path=/; HttpOnly; Secure; SameSite=Lax"

    def test_in_a_frame_of_the_epr_it_is_partitioned(self) -> None:
        given = cookie("https://registry.example/fhir", embedded=True).given("secret")
        assert given.endswith("; Secure; SameSite=None; Partitioned")

    def test_without_tls_it_is_plain_for_this_machine_alone(self) -> None:
        given = cookie("http://127.0.0.1:8000/fhir", embedded=True).given("secret")
        assert given == "csor=secret; Path=/; HttpOnly; SameSite=Lax"


class TestSession:
    async def test_it_says_who_writes_about_whom(self, theatre: Theatre) -> None:
        with theatre.open() as session:
            answer = await theatre.http.get("/session")
        told = answer.json()
        assert told["patient"] == {"reference": theatre.places["ann"]}
        assert told["csrf"] == session.csrf
        assert told["expires"] == "2026-11-23T09:30:00.000Z"
        assert told["response"] is None
        assert answer.headers["cache-control"] == "no-store"

    async def test_it_finds_the_draft_again_that_its_surgeon_left(self, theatre: Theatre) -> None:
        await theatre.stored(theatre.draft("bob"))
        await theatre.stored(theatre.draft(author={"reference": theatre.places["other surgeon"]}))
        with theatre.open():
            assert (await theatre.http.get("/session")).json()["response"] is None
            mine = await theatre.stored(theatre.draft())
            found = (await theatre.http.get("/session")).json()["response"]
        assert f"QuestionnaireResponse/{found}" == mine

    async def test_without_one_the_page_is_told_what_to_do(self, theatre: Theatre) -> None:
        answer = await theatre.http.get("/session")
        assert answer.status_code == 401
        assert "hospital's system" in answer.json()["issue"][0]["details"]["text"]

    async def test_whoever_has_one_is_not_the_registry_on_this_machine(
        self, theatre: Theatre
    ) -> None:
        assert (await theatre.http.get("/fhir/Patient")).status_code == 200
        with theatre.open():
            assert (await theatre.http.get("/fhir/Patient")).status_code == 403
            assert (await theatre.http.get("/metrics")).status_code == 403
            kind = {"Content-Type": "application/hl7-v2"}
            sent = await theatre.http.post("/hl7v2", content=b"MSH|", headers=kind)
            assert sent.status_code in (403, 404)

    async def test_one_that_is_unknown_is_nobody_on_this_machine(self, theatre: Theatre) -> None:
        for value in ("forged", ""):
            theatre.http.cookies.set("csor", value, domain="localhost.local")
            assert (await theatre.http.get("/fhir/Patient")).status_code == 401
            assert (await theatre.http.get("/session")).status_code == 401

    async def test_it_ends_when_it_is_left_alone(self, theatre: Theatre) -> None:
        with theatre.open():
            theatre.clock.now += IDLE - timedelta(seconds=1)
            assert (await theatre.http.get("/fhir/Questionnaire")).status_code == 200
            theatre.clock.now += IDLE - timedelta(seconds=1)
            assert (await theatre.http.get("/session")).status_code == 200
            theatre.clock.now += timedelta(seconds=1)  # GET /session was no use of it
            assert (await theatre.http.get("/fhir/Questionnaire")).status_code == 401

    async def test_it_ends_after_twelve_hours_however_it_is_used(self, theatre: Theatre) -> None:
        with theatre.open():
            for _ in range(int(LONGEST / IDLE * 2) - 1):
                theatre.clock.now += IDLE / 2
                assert (await theatre.http.get("/fhir/Questionnaire")).status_code == 200
            theatre.clock.now += IDLE / 2
            assert (await theatre.http.get("/fhir/Questionnaire")).status_code == 401

    async def test_who_finishes_leaves_nothing_for_the_next(self, theatre: Theatre) -> None:
        with theatre.open():
            value = theatre.http.cookies["csor"]
            answer = await theatre.http.delete("/session")
            assert answer.status_code == 204
            assert "Max-Age=0" in answer.headers["set-cookie"]
            theatre.http.cookies.set("csor", value, domain="localhost.local")
            assert (await theatre.http.get("/session")).status_code == 401


class TestForgery:
    """https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html"""

    @pytest.mark.parametrize(
        "header",
        [{"X-CSRF-Token": "guessed"}, {"Origin": "https://evil.example"}, {"Origin": "null"}],
    )
    async def test_what_another_site_sends_is_refused(
        self, theatre: Theatre, header: dict[str, str]
    ) -> None:
        with theatre.open():
            for ask in (
                theatre.http.post(
                    "/fhir/QuestionnaireResponse", json=theatre.draft(), headers=header
                ),
                theatre.http.delete("/session", headers=header),
            ):
                assert (await ask).status_code == 403
            assert (await theatre.http.get("/session")).json()["response"] is None

    async def test_a_request_without_origin_is_no_pages(self, theatre: Theatre) -> None:
        with theatre.open() as session:
            secret, value = {"X-CSRF-Token": session.csrf}, theatre.http.cookies["csor"]
            del theatre.http.headers["Origin"]
            answer = await theatre.http.post(
                "/fhir/QuestionnaireResponse", json=theatre.draft(), headers=secret
            )
            assert value
            theatre.http.headers["Origin"] = HERE
        assert answer.status_code == 403


class TestConfinement:
    """Whoever has a session of Ann's can neither see nor change anything of Bob's."""

    async def test_her_note_is_written_and_read(self, theatre: Theatre) -> None:
        with theatre.open():
            note = await theatre.stored(theatre.draft())
            draft = {**theatre.draft(), "id": note.partition("/")[2]}
            saved = await theatre.http.put(
                f"/fhir/{note}", json=draft | {"language": "en"}, headers={"If-Match": 'W/"1"'}
            )
            assert (saved.status_code, saved.headers["etag"]) == (200, 'W/"2"')
            stale = await theatre.http.put(f"/fhir/{note}", json=draft, headers={"If-Match": '"1"'})
            assert stale.status_code == 412
            answer = await theatre.http.get(f"/fhir/{note}")
            assert answer.json()["language"] == "en"
            assert answer.headers["cache-control"] == "no-store"

    async def test_another_childs_note_is_not_there(self, theatre: Theatre) -> None:
        note = await theatre.stored(theatre.draft("bob"))
        key = note.partition("/")[2]
        with theatre.open():
            assert (await theatre.http.get(f"/fhir/{note}")).status_code == 404
            for draft in (theatre.draft("bob", id=key), theatre.draft(id=key)):
                assert (await theatre.http.put(f"/fhir/{note}", json=draft)).status_code == 403
            assert (await theatre.http.get(f"/fhir/{note}/$validate")).status_code == 404
            url = f"/fhir/{note}/$validate"
            assert (await theatre.http.post(url, json=theatre.draft())).status_code == 403
        assert (await theatre.http.get(f"/fhir/{note}")).headers["etag"] == 'W/"1"'

    @pytest.mark.parametrize(
        "wrong",
        [
            {"subject": {"reference": "bob"}},
            {"subject": {"reference": f"{HERE}/fhir/bob"}},
            {"subject": {"reference": "Patient?name=Bob"}},
            {"subject": None},
            {"author": {"reference": "other surgeon"}},
            {"source": {"reference": "bob"}},
            {"encounter": {"reference": "visit of bob"}},
            {"item": [{"linkId": "a", "answer": [{"valueReference": {"reference": "bob"}}]}]},
            {"status": "completed"},
        ],
        ids=str,
    )
    async def test_a_draft_names_no_other_child_and_no_other_author(
        self, theatre: Theatre, wrong: dict[str, Any]
    ) -> None:
        theatre.places["visit of bob"] = await theatre.stored(
            {
                "resourceType": "Encounter",
                "status": "in-progress",
                "class": {"code": "IMP"},
                "subject": {"reference": theatre.places["bob"]},
            }
        )
        draft = _placed({**theatre.draft(), **wrong}, theatre.places)
        with theatre.open():
            answer = await theatre.http.post("/fhir/QuestionnaireResponse", json=draft)
        assert answer.status_code == 403, answer.text

    async def test_criteria_cannot_ask_about_other_children(self, theatre: Theatre) -> None:
        bobs = {"system": NOTE, "value": "bob's"}
        await theatre.stored(theatre.draft("bob", identifier=bobs))
        with theatre.open():
            for criteria in ("subject.name=Bob", "status=in-progress", f"identifier={NOTE}|bob's"):
                answer = await theatre.http.post(
                    "/fhir/QuestionnaireResponse",
                    json=theatre.draft(),
                    headers={"If-None-Exist": criteria},
                )
                assert answer.status_code == 403, criteria
            for query in (
                "Questionnaire?_revinclude=QuestionnaireResponse:questionnaire",
                "Questionnaire?_has:QuestionnaireResponse:questionnaire:subject=x",
                "QuestionnaireResponse",
                "QuestionnaireResponse?subject=x",
                "Observation",
                theatre.places["ann"],
                f"{theatre.places['ann']}/$everything",
            ):
                assert (await theatre.http.get(f"/fhir/{query}")).status_code == 403, query
            put = theatre.http.put("/fhir/QuestionnaireResponse?status=x", json=theatre.draft())
            assert (await put).status_code == 403

    async def test_what_was_refused_waits_in_no_inbox(self, theatre: Theatre) -> None:
        """A replay would be the registry's, and not confined."""
        with theatre.open():
            wrong = theatre.draft(subject={"reference": theatre.places["bob"]})
            await theatre.http.post("/fhir/QuestionnaireResponse", json=wrong)
        waiting = (await theatre.http.get("/health")).json()["inbox"]
        assert sum(waiting.values()) == 0


def _placed(node: Any, places: dict[str, str]) -> Any:
    """Put the places of the test's resources in the stead of their names; leave out what is None."""
    if isinstance(node, dict):
        return {k: _placed(v, places) for k, v in node.items() if v is not None}
    if isinstance(node, list):
        return [_placed(each, places) for each in node]
    if isinstance(node, str) and node.startswith(f"{HERE}/fhir/"):
        return f"{HERE}/fhir/{places[node.removeprefix(f'{HERE}/fhir/')]}"
    return places.get(node, node) if isinstance(node, str) else node


async def test_whoever_signs_is_the_sessions_surgeon(theatre: Theatre) -> None:
    """The signer that the body names is not looked at: the refusal is the note's own, and no 403."""
    body = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "response", "resource": theatre.draft()},
            {"name": "signer", "valueReference": {"reference": theatre.places["other surgeon"]}},
            {"name": "hospital", "valueReference": {"reference": theatre.places["hospital"]}},
        ],
    }
    with theatre.open():
        answer = await theatre.http.post("/fhir/QuestionnaireResponse/$sign", json=body)
        assert answer.status_code == 422
        body["parameter"][2]["valueReference"] = {"reference": "Organization/other"}
        answer = await theatre.http.post("/fhir/QuestionnaireResponse/$sign", json=body)
        assert answer.status_code == 403


async def test_nobody_elses_technique_is_carried_over(theatre: Theatre, made: Context) -> None:
    with theatre.open() as session:
        draft = theatre.draft()
        other = {"reference": theatre.places["other surgeon"]}
        body = {
            "resourceType": "Parameters",
            "parameter": [
                {"name": "response", "resource": draft},
                {"name": "signer", "valueReference": other},
            ],
        }
        for sent in (draft, body):
            headers = {b"content-type": b"application/fhir+json"}
            request = Request("POST", "/fhir/QuestionnaireResponse/$carry-over", b"", headers)
            asked = Asked(request, {"type": "QuestionnaireResponse"}, encode(sent))
            context = made.asked_by(session.principal)
            given = decode(confined.sent(context, "$carry-over", asked).raw)["parameter"]
            assert [each["name"] for each in given] == ["response", "signer"]
            assert given[1]["valueReference"]["reference"] == theatre.places["surgeon"]


def test_a_surgeon_may_do_what_is_listed_and_nothing_else() -> None:
    surgeon = Principal("Practitioner/1", frozenset({SURGEON}), "Patient/1")
    allowed = set()
    for code in {row.code for row in TABLE}:
        for kind in (None, *definitions.resource_types()):
            with contextlib.suppress(FhirError):
                admit(surgeon, code, kind)
                allowed.add((code, kind))
    note = "QuestionnaireResponse"
    assert allowed - {("$validate-code", "ValueSet"), ("$validate-code", "CodeSystem")} == {
        ("capabilities", None),
        ("search-type", "Questionnaire"),
        ("search-type", "ValueSet"),
        ("read", "Questionnaire"),
        ("read", "ValueSet"),
        ("read", note),
        ("read", "Composition"),
        ("$expand", "ValueSet"),
        ("$lookup", "CodeSystem"),
        *((code, note) for code in ("create", "update", "$validate", "$extract", "$sign")),
    } | {
        (code, kind)
        for code, kind in allowed
        if (code, kind)
        in {
            ("$populate", "Questionnaire"),
            ("$carry-over", note),
            ("$addend", note),
            ("$correct", note),
            ("$document", "Composition"),
            ("$pdf", "Composition"),
        }
    }
