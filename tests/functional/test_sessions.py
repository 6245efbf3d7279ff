"""A session stands for one surgeon with one child, and ends by itself."""

from datetime import timedelta

import pytest

from fhir_server.access.sessions import IDLE, LONGEST, cookie
from tests.support.theatre import HERE, Theatre


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
    async def test_it_says_who_writes_about_whom(self, room: Theatre) -> None:
        with room.open() as session:
            answer = await room.http.get("/session")
        told = answer.json()
        assert told["patient"] == {"reference": room.places["ann"]}
        assert told["csrf"] == session.csrf
        assert told["expires"] == "2026-11-23T09:30:00.000Z"
        assert told["response"] is None
        assert answer.headers["cache-control"] == "no-store"

    async def test_it_finds_the_draft_again_that_its_surgeon_left(self, room: Theatre) -> None:
        await room.stored(room.draft("bob"))
        await room.stored(room.draft(author={"reference": room.places["other surgeon"]}))
        with room.open():
            assert (await room.http.get("/session")).json()["response"] is None
            mine = await room.stored(room.draft())
            found = (await room.http.get("/session")).json()["response"]
        assert f"QuestionnaireResponse/{found}" == mine

    async def test_without_one_the_page_is_told_what_to_do(self, room: Theatre) -> None:
        answer = await room.http.get("/session")
        assert answer.status_code == 401
        assert "hospital's system" in answer.json()["issue"][0]["details"]["text"]

    async def test_whoever_has_one_is_not_the_registry_on_this_machine(self, room: Theatre) -> None:
        assert (await room.http.get("/fhir/Patient")).status_code == 200
        with room.open():
            assert (await room.http.get("/fhir/Patient")).status_code == 403
            assert (await room.http.get("/metrics")).status_code == 403
            kind = {"Content-Type": "application/hl7-v2"}
            sent = await room.http.post("/hl7v2", content=b"MSH|", headers=kind)
            assert sent.status_code in (403, 404)

    async def test_one_that_is_unknown_is_nobody_on_this_machine(self, room: Theatre) -> None:
        for value in ("forged", ""):
            room.http.cookies.set("csor", value, domain="localhost.local")
            assert (await room.http.get("/fhir/Patient")).status_code == 401
            assert (await room.http.get("/session")).status_code == 401

    async def test_it_ends_when_it_is_left_alone(self, room: Theatre) -> None:
        with room.open():
            room.clock.now += IDLE - timedelta(seconds=1)
            assert (await room.http.get("/fhir/Questionnaire")).status_code == 200
            room.clock.now += IDLE - timedelta(seconds=1)
            assert (await room.http.get("/session")).status_code == 200
            room.clock.now += timedelta(seconds=1)  # GET /session was no use of it
            assert (await room.http.get("/fhir/Questionnaire")).status_code == 401

    async def test_it_ends_after_twelve_hours_however_it_is_used(self, room: Theatre) -> None:
        with room.open():
            for _ in range(int(LONGEST / IDLE * 2) - 1):
                room.clock.now += IDLE / 2
                assert (await room.http.get("/fhir/Questionnaire")).status_code == 200
            room.clock.now += IDLE / 2
            assert (await room.http.get("/fhir/Questionnaire")).status_code == 401

    async def test_who_finishes_leaves_nothing_for_the_next(self, room: Theatre) -> None:
        with room.open():
            value = room.http.cookies["csor"]
            answer = await room.http.delete("/session")
            assert answer.status_code == 204
            assert "Max-Age=0" in answer.headers["set-cookie"]
            room.http.cookies.set("csor", value, domain="localhost.local")
            assert (await room.http.get("/session")).status_code == 401


class TestForgery:
    """https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html"""

    @pytest.mark.parametrize(
        "header",
        [{"X-CSRF-Token": "guessed"}, {"Origin": "https://evil.example"}, {"Origin": "null"}],
    )
    async def test_what_another_site_sends_is_refused(
        self, room: Theatre, header: dict[str, str]
    ) -> None:
        with room.open():
            for ask in (
                room.http.post("/fhir/QuestionnaireResponse", json=room.draft(), headers=header),
                room.http.delete("/session", headers=header),
            ):
                assert (await ask).status_code == 403
            assert (await room.http.get("/session")).json()["response"] is None

    async def test_a_request_without_origin_is_no_pages(self, room: Theatre) -> None:
        with room.open() as session:
            secret, value = {"X-CSRF-Token": session.csrf}, room.http.cookies["csor"]
            del room.http.headers["Origin"]
            answer = await room.http.post(
                "/fhir/QuestionnaireResponse", json=room.draft(), headers=secret
            )
            assert value
            room.http.headers["Origin"] = HERE
        assert answer.status_code == 403
