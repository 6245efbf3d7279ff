"""How often who may ask: each client by its own measure, strangers by address, senders of MLLP by waiting."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from fhir_server.access import LOCAL, REGISTRY
from fhir_server.access.clients import clients
from fhir_server.access.rates import AT_ONCE, Rates, ThrottledError, neighbourhood
from fhir_server.app import application, context
from fhir_server.context import Context, Principal
from fhir_server.settings import Settings
from fhir_server.store import inbox
from tests.support.backend import BASE, CLIENTS, STATIC, Backend, backend, bearer
from tests.support.mllp import acknowledged, answers, person, register
from tests.support.server import served

EPR, OTHER = Principal("epr", frozenset({REGISTRY})), Principal("other", frozenset({REGISTRY}))
KNOWN = f"""
[[client]]
name = "monitor"
rate = 0.5
token_sha256 = "{hashlib.sha256(STATIC.encode()).hexdigest()}"

[[client]]
name = "quick"
token_sha256 = "{hashlib.sha256(b"quick").hexdigest()}"
"""


class Moment:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def moment() -> Moment:
    return Moment()


@pytest.fixture
def rates(moment: Moment) -> Rates:
    return Rates(Settings(rate_limit=2.0, rate_limit_unknown=1.0), moment)


def let_in(rates: Rates, principal: Principal, times: int, door: str = "fhir") -> int:
    """Ask so often; returns how often that was let in."""
    many = 0
    for _ in range(times):
        try:
            rates.ask(principal, door)
        except ThrottledError:
            continue
        many += 1
    return many


class TestRates:
    def test_ten_seconds_requests_may_come_at_once_and_then_so_many_a_second(
        self, rates: Rates, moment: Moment
    ) -> None:
        assert let_in(rates, EPR, 100) == 2 * AT_ONCE + 1
        moment.now += 3
        assert let_in(rates, EPR, 100) == 6
        moment.now += 1000
        assert let_in(rates, EPR, 100) == 2 * AT_ONCE + 1, "no more is saved up than that"

    def test_each_client_has_its_own_at_each_door(self, rates: Rates) -> None:
        let_in(rates, EPR, 100)
        assert let_in(rates, OTHER, 1) == 1
        assert let_in(rates, EPR, 1, "hl7v2") == 1
        assert let_in(rates, EPR, 1) == 0

    def test_a_program_on_this_machine_is_not_limited(self, rates: Rates) -> None:
        assert let_in(rates, LOCAL, 10_000) == 10_000

    def test_a_refusal_says_who_how_much_and_when(self, rates: Rates, moment: Moment) -> None:
        let_in(rates, EPR, 21)
        with pytest.raises(ThrottledError) as refused:
            rates.ask(EPR, "fhir")
        (issue,) = refused.value.issues
        assert (refused.value.status, issue.code, refused.value.wait) == (429, "throttled", 1)
        assert "epr may ask 2 times a second" in issue.diagnostics
        moment.now += refused.value.wait
        rates.ask(EPR, "fhir")

    def test_strangers_are_told_apart_by_address_and_those_behind_a_proxy_are_one(
        self, rates: Rates
    ) -> None:
        for _ in range(11):
            rates.ask_unknown("192.0.2.7", forwarded=False)
            rates.ask_unknown("127.0.0.1", forwarded=True)
        with pytest.raises(ThrottledError):
            rates.ask_unknown("192.0.2.7", forwarded=False)
        with pytest.raises(ThrottledError):
            rates.ask_unknown("127.0.0.1", forwarded=True)
        rates.ask_unknown("192.0.2.8", forwarded=False)
        for _ in range(100):
            rates.ask_unknown("127.0.0.1", forwarded=False)

    def test_an_address_of_ipv6_counts_as_its_64(self) -> None:
        assert neighbourhood("2001:db8::1") == neighbourhood("2001:db8::ffff:2")
        assert neighbourhood("2001:db8:0:1::1") != neighbourhood("2001:db8::1")
        assert neighbourhood("::ffff:192.0.2.7") == "192.0.2.7"

    def test_who_comes_when_very_many_do_is_counted_with_the_others(
        self, rates: Rates, moment: Moment
    ) -> None:
        for number in range(10_000):
            rates.ask(Principal(str(number), frozenset()), "fhir")
        assert let_in(rates, EPR, 100) == 2 * AT_ONCE + 1
        assert let_in(rates, OTHER, 100) == 0, "they share what one has"
        moment.now += 100
        assert let_in(rates, OTHER, 100) == 2 * AT_ONCE + 1, "the others have paused"


class TestClientsFile:
    def test_says_of_a_client_how_often_it_may_ask(self, tmp_path: Path) -> None:
        file = tmp_path / "clients.toml"
        file.write_text(KNOWN)
        assert [each.rate for each in clients(file)] == [0.5, None]

    @pytest.mark.parametrize("wrong", ["0", "-1", "true", '"many"', "inf", "nan"])
    def test_a_rate_is_a_number_above_zero(self, tmp_path: Path, wrong: str) -> None:
        file = tmp_path / "clients.toml"
        file.write_text(KNOWN.replace("0.5", wrong))
        with pytest.raises(ValueError, match="the client monitor: rate is a number"):
            clients(file)


@pytest.fixture
async def epr(tmp_path: Path) -> AsyncIterator[Backend]:
    limits = {"rate_limit_unknown": 0.3, "rate_limit_sign_in": 0.3}
    async with backend(tmp_path, KNOWN, **limits) as found:
        yield found


class TestDoors:
    async def test_a_client_beyond_its_rate_is_told_to_wait_and_others_are_not(
        self, epr: Backend
    ) -> None:
        for _ in range(6):
            answer = await epr.http.get("/fhir/Patient", headers=bearer(STATIC))
            assert answer.status_code == 200
        answer = await epr.http.get("/fhir/Patient", headers=bearer(STATIC))
        assert (answer.status_code, answer.json()["issue"][0]["code"]) == (429, "throttled")
        assert 1 <= int(answer.headers["retry-after"]) <= 2
        assert (await epr.http.get("/fhir/Patient", headers=bearer("quick"))).status_code == 200

    async def test_what_is_refused_for_its_rate_is_counted_and_neither_audited_nor_kept(
        self, epr: Backend
    ) -> None:
        for _ in range(30):
            await epr.http.post("/fhir/Patient", json={}, headers=bearer(STATIC))
        assert [status for _, _, status in await epr.audited()] == [400] * 6
        assert inbox.tally(epr.made.database) == {"refused": 1}
        counted = epr.made.metrics.watched["csor_throttled_total"]
        assert counted.read() == 24

    @pytest.mark.parametrize("path", ["/fhir/metadata", "/fhir/Patient", "/", "/health"])
    async def test_strangers_are_counted_together_wherever_they_ask(
        self, epr: Backend, path: str
    ) -> None:
        for _ in range(4):
            assert (await epr.http.get("/fhir/metadata")).status_code == 200
        answer = await epr.http.get(path)
        assert (answer.status_code, answer.json()["issue"][0]["code"]) == (429, "throttled")
        assert int(answer.headers["retry-after"]) >= 1
        assert (await epr.http.get("/fhir/Patient", headers=bearer("quick"))).status_code == 200

    async def test_the_token_endpoint_answers_as_oauth_has_it(self, epr: Backend) -> None:
        for _ in range(4):
            assert (await epr.ask()).status_code == 400
        answer = await epr.ask()
        assert (answer.status_code, answer.json()["error"]) == (429, "temporarily_unavailable")
        assert answer.headers["cache-control"] == "no-store"
        assert int(answer.headers["retry-after"]) >= 1

    @pytest.mark.parametrize(
        "path",
        [
            "/sign-in", "/sign-in/hospital", "/sign-in/hospital/callback?state=a&code=b",
            "/authorize?client_id=a", "/apps?patient=a", "/launch?iss=a&launch=b", "/callback?state=a&code=b",
        ],
    )  # fmt: skip
    async def test_ways_in_are_counted_together_and_apart_from_the_pages(
        self, epr: Backend, path: str
    ) -> None:
        for _ in range(4):
            assert (await epr.http.get(path)).status_code != 429
        for each in ("/sign-in", "/authorize", "/callback"):
            answer = await epr.http.get(each)
            assert (answer.status_code, answer.json()["issue"][0]["code"]) == (429, "throttled")
        for each in ("/token", "/introspect", "/revoke"):
            answer = await epr.http.post(each, data={"token": "any"})
            assert (answer.status_code, answer.json()["error"]) == (429, "temporarily_unavailable")
        assert (await epr.http.get("/health")).status_code == 200
        many = len(await epr.audited())
        await epr.http.get(path)
        assert len(await epr.audited()) == many, "a flood does not fill the audit"

    async def test_pages_take_nothing_from_the_ways_in(self, epr: Backend) -> None:
        for _ in range(5):
            answer = await epr.http.get("/health")
        assert answer.status_code == 429
        assert (await epr.http.get("/sign-in")).status_code == 200

    @pytest.mark.parametrize("path", ["/introspect", "/revoke"])
    async def test_a_client_that_asks_about_tokens_has_its_own_measure(
        self, tmp_path: Path, path: str
    ) -> None:
        async with backend(tmp_path, KNOWN) as epr:
            known, form = bearer(STATIC), {"token": "any"}
            for _ in range(6):
                answer = await epr.http.post(path, data=form, headers=known)
                assert answer.status_code == 200
            answer = await epr.http.post(path, data=form, headers=known)
            assert (answer.status_code, answer.json()["error"]) == (429, "temporarily_unavailable")
            assert "monitor may ask 0.5 times a second" in answer.json()["error_description"]
            assert (int(answer.headers["retry-after"]), answer.headers["cache-control"]) == (
                2,
                "no-store",
            )
            assert len(await epr.audited()) == 6
            answer = await epr.http.post(path, data=form, headers=bearer("quick"))
            assert answer.status_code == 200

    async def test_so_has_one_that_asks_for_tokens_by_its_key(self, tmp_path: Path) -> None:
        slow = CLIENTS.replace('name = "epr"', 'name = "epr"\nrate = 0.2')
        async with backend(tmp_path, slow) as epr:
            for _ in range(3):
                assert (await epr.ask()).status_code == 200
            assert (await epr.ask("forged")).status_code == 400, "who proves nothing is not counted"
            answer = await epr.ask()
            assert (answer.status_code, answer.json()["error"]) == (429, "temporarily_unavailable")
            epr.name = "everything"
            assert (await epr.ask()).status_code == 200


def test_hl7_v2_over_http_has_a_measure_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "clients.toml"
    file.write_text(KNOWN)
    senders = tmp_path / "senders.toml"
    senders.write_text('[[sender]]\nname = "epr"\nhospitals = ["RTH"]\nclient = "monitor"\n')
    with served(tmp_path, clients=file, hl7v2_senders=senders, outcomes=False) as server:
        register(server, "RTH")
        url = server.base_url.removesuffix("/fhir") + "/hl7v2"
        kind = {"Content-Type": "application/hl7-v2", **bearer(STATIC)}
        for number in range(6):
            answer = server.http.post(url, content=person(f"R-{number}"), headers=kind)
            assert acknowledged(answer.content) == ("AA", f"R-{number}")
        answer = server.http.post(url, content=person("R-9"), headers=kind)
        assert (answer.status_code, answer.headers["content-type"]) == (
            429,
            "text/plain; charset=utf-8",
        )
        assert "monitor may ask 0.5 times a second" in answer.text
        assert int(answer.headers["retry-after"]) >= 1
        assert not any(
            each.control_id == "R-9" for each in inbox.every(server.context.database, "processed")
        )


def test_a_sender_of_mllp_is_not_refused_but_read_from_more_slowly(tmp_path: Path) -> None:
    senders = tmp_path / "senders.toml"
    senders.write_text('[[sender]]\nname = "epr"\nhospitals = ["RTH"]\naddress = "127.0.0.1"\n')
    limits = {"rate_limit": 4.0, "outcomes": False}
    with served(tmp_path, hl7v2_senders=senders, **limits) as server:
        register(server, "RTH")
        sent = [person(f"M-{number}") for number in range(50)]
        began = time.monotonic()
        said = asyncio.run(answers(server.mllp_port, sent, len(sent)))
        took = time.monotonic() - began
    assert [acknowledged(each) for each in said] == [("AA", f"M-{n}") for n in range(50)]
    assert took > (50 - 41) / 4 - 0.5, "41 may come at once, the others four a second"


WRONG = {"resourceType": "Observation", "status": "final", "code": {"text": "weight"}}


def refusal(number: int) -> dict[str, object]:
    return {**WRONG, "subject": {"reference": f"Patient/nobody-{number}"}}


class TestQuota:
    @pytest.fixture
    def made(self, tmp_path: Path) -> Context:
        return context(Settings(database=tmp_path / "csor.db", refusals_quota=500))

    @pytest.fixture
    async def http(self, made: Context) -> AsyncIterator[httpx.AsyncClient]:
        transport = httpx.ASGITransport(application(made), client=("127.0.0.1", 1))
        base = "http://localhost/fhir"
        async with httpx.AsyncClient(transport=transport, base_url=base) as found:
            yield found
        made.database.close()

    @staticmethod
    def full(answer: httpx.Response) -> list[str]:
        issues = answer.json()["issue"]
        return [each["diagnostics"] for each in issues if each["code"] == "throttled"]

    async def test_beyond_it_a_refused_write_says_that_it_is_not_kept(
        self, made: Context, http: httpx.AsyncClient
    ) -> None:
        answers = [await http.post("/Observation", json=refusal(n)) for n in range(10)]
        kept = inbox.tally(made.database)["refused"]
        assert [bool(self.full(each)) for each in answers] == [n >= kept for n in range(10)]
        assert 0 < kept < 10
        (said,) = self.full(answers[-1])
        assert "the 500 bytes that are kept of local are full" in said
        assert {each.status_code for each in answers} == {422}, "it is refused for what is wrong"

    async def test_the_same_write_again_takes_no_more_room(self, http: httpx.AsyncClient) -> None:
        for _ in range(20):
            assert not self.full(await http.post("/Observation", json=refusal(1)))

    async def test_what_is_right_is_stored_all_the_same_and_makes_room(
        self, made: Context, http: httpx.AsyncClient
    ) -> None:
        for number in range(10):
            answer = await http.post("/Observation", json=refusal(number))
        assert self.full(answer)
        child = {"resourceType": "Patient", "id": "nobody-0", "name": [{"family": "Testchild"}]}
        assert (await http.put("/Patient/nobody-0", json=child)).status_code == 201
        assert (await http.post("/Observation", json=refusal(0))).status_code == 201
        assert not self.full(await http.post("/Observation", json=refusal(7)))

    async def test_what_was_dismissed_makes_room(
        self, made: Context, http: httpx.AsyncClient
    ) -> None:
        for number in range(3):
            await http.post("/Observation", json=refusal(number))
        for each in inbox.every(made.database, "refused"):
            assert await inbox.dismiss(made.database, each.id, 1, "seen to")
        answers = [await http.post("/Observation", json=refusal(n)) for n in range(10, 13)]
        assert not any(self.full(each) for each in answers)

    async def test_an_entry_of_a_batch_says_it_too(self, http: httpx.AsyncClient) -> None:
        entries = [
            {"resource": refusal(n), "request": {"method": "POST", "url": "Observation"}}
            for n in range(10)
        ]
        bundle = {"resourceType": "Bundle", "type": "batch", "entry": entries}
        listed = (await http.post("/", json=bundle)).json()["entry"]
        issues = [[i["code"] for i in each["response"]["outcome"]["issue"]] for each in listed]
        assert "throttled" not in issues[0]
        assert "throttled" in issues[-1]

    async def test_it_holds_after_a_restart(self, made: Context, http: httpx.AsyncClient) -> None:
        for number in range(10):
            await http.post("/Observation", json=refusal(number))
        transport = httpx.ASGITransport(application(made), client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url=BASE) as again:
            answer = await again.post(
                "/Observation", json=refusal(77), headers={"Host": "localhost"}
            )
        assert self.full(answer)
