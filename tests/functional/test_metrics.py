"""GET /metrics: what operators watch, as Prometheus reads it; nobody can be told by it."""

import asyncio
import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_server.app import application, context
from fhir_server.context import Context
from fhir_server.operations.fhir_message import process_message
from fhir_server.operations.lanes import Lanes
from fhir_server.operations.receive import receive
from fhir_server.settings import Settings
from fhir_server.store import inbox
from fhir_server.store.metrics import Metrics
from r4.json import encode
from tests.functional.test_fhir_messages import child, message
from tests.support.feed import Feed, admit, feed
from tests.support.server import Served, served

ROOT = Path(__file__).parent.parent.parent
_LINE = re.compile(r'([a-z_]+)(\{(?:[a-z]+="(?:[^"\\\n]|\\.)*",?)+\})? ([0-9.e+-]+|\+Inf)')


def told(text: str) -> dict[str, float]:
    """Read the text format: each series by its name and labels; every one has its help and type."""
    described: dict[str, str] = {}
    found = {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            described[name] = kind
        elif not line.startswith("# HELP "):
            match = _LINE.fullmatch(line)
            assert match, line
            name = re.sub("_(bucket|sum|count)$", "", match[1])
            assert {match[1], name} & described.keys(), line
            found[match[1] + (match[2] or "")] = float(match[3])
    return found


async def asked(
    made: Context, host: str = "127.0.0.1", path: str = "/metrics", **headers: str
) -> httpx.Response:
    transport = httpx.ASGITransport(application(made), client=(host, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return await client.get(path, headers=headers)


class Watching:
    """A database that takes note of the threads in which the inbox is read."""

    def __init__(self, database: Any) -> None:
        self._database = database
        self.threads: set[int] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        if "count(*)" in sql:
            self.threads.add(threading.get_ident())
        return self._database.read(sql, parameters)


@pytest.fixture
async def registry(tmp_path: Path) -> Iterator[Feed]:
    async with feed(str(tmp_path / "csor.db")) as made:
        yield made


async def test_messages_are_counted_by_door_hospital_kind_and_answer(registry: Feed) -> None:
    await registry.send(
        registry.admit("1", registry.wren),
        registry.admit("2", registry.wren, event="A01"),
        registry.admit("3", registry.lark, ods="RGT"),
        registry.admit("4", registry.lark),
        b"nonsense",
    )
    answer = await asked(registry.context)
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = told(answer.text)
    head = 'csor_messages_total{door="mllp",'
    assert {name: many for name, many in found.items() if name.startswith(head)} == {
        head + 'hospital="RTH",kind="ADT^A08",answer="AA"}': 2,
        head + 'hospital="RTH",kind="ADT^A01",answer="AA"}': 1,
        head + 'hospital="RGT",kind="ADT^A08",answer="AE"}': 1,
        head + 'hospital="other",kind="other",answer="AR"}': 1,
    }
    assert found["csor_message_seconds_count"] == 5
    assert found['csor_message_seconds_bucket{le="+Inf"}'] == 5
    assert found['csor_inbox_messages{status="refused"}'] == 2
    assert found['csor_inbox_messages{status="received"}'] == 0
    assert found["csor_inbox_lag_seconds"] == 0


async def test_fhir_messages_are_counted_as_a_door_of_their_own(registry: Feed) -> None:
    sent = message("metrics", child(registry.wren))
    for each in (sent, sent, message("other", child(registry.wren), eventUri="urn:x:other")):
        await process_message(registry.context, {"content": each}, encode(each), "POST /fhir")
    found = told((await asked(registry.context)).text)
    head = 'csor_messages_total{door="http-fhir",hospital="other",'
    assert {name: many for name, many in found.items() if name.startswith(head)} == {
        head + 'kind="record",answer="ok"}': 1,
        head + 'kind="other",answer="fatal-error"}': 1,
    }


async def test_the_lag_is_the_age_of_the_oldest_message_that_is_not_worked(registry: Feed) -> None:
    now = round(registry.context.now().timestamp() * 1_000_000)
    for number, age in enumerate((60, 3600, 5)):
        arrival = inbox.Arrival("mllp", "PAS|RTH", str(number), str(number), "", b"MSH")
        await inbox.receive(registry.context.database, arrival, now - age * 1_000_000)
    found = told((await asked(registry.context)).text)
    assert found['csor_inbox_messages{status="received"}'] == 3
    assert 3600 <= found["csor_inbox_lag_seconds"] < 3700


async def test_health_tells_whoever_asks_what_waits_and_nothing_else(registry: Feed) -> None:
    await registry.send(registry.admit("1", registry.wren), b"nonsense")
    answer = await asked(registry.context, "192.0.2.7", "/health")
    assert answer.json() == {"status": "ok", "inbox": {"refused": 1}}


@pytest.mark.parametrize("path", ["/health", "/metrics"])
async def test_the_inbox_is_counted_beside_whoever_is_answered(registry: Feed, path: str) -> None:
    watching = Watching(registry.context.database)
    await asked(replace(registry.context, database=watching), path=path)
    assert len(watching.threads) == 1
    assert threading.get_ident() not in watching.threads


async def test_nobody_is_told_by_it(registry: Feed) -> None:
    secret = registry.wren
    await registry.send(
        registry.admit("1", secret, "Testchild-Secret", ods=secret),
        registry.admit("2", secret, "Testchild-Secret", event=secret),
    )
    text = (await asked(registry.context)).text
    assert secret not in text
    assert "Testchild" not in text


async def test_strangers_are_not_told(registry: Feed) -> None:
    stranger = await asked(registry.context, "192.0.2.7")
    assert (stranger.status_code, stranger.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert (await asked(registry.context, Origin="https://elsewhere.example")).status_code == 401
    assert (await asked(registry.context, Authorization="Bearer wrong")).status_code == 401
    assert (await asked(registry.context)).status_code == 200


def test_ever_new_labels_do_not_fill_the_memory() -> None:
    counted = Metrics()
    for number in range(3000):
        counted.message("mllp", f"{number:04}", "ADT^A01", "AE", 0.001)
    assert len(counted.messages) <= 1001
    assert counted.messages["mllp", "other", "other", "AE"] == 2000
    assert sum(counted.messages.values()) == 3000 == sum(counted.buckets)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("metrics")) as running:
        yield running


def test_a_server_tells_of_its_door_and_its_requests(server: Served) -> None:
    async def junk() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.mllp_port)
        writer.write(b"junk\x0b\x06\x1c\x0d\x0bMSH|nonsense\x1c\x0d")
        await asyncio.wait_for(reader.readuntil(b"\x1c\x0d"), 10)
        writer.close()

    asyncio.run(junk())
    server.http.get("/Patient?nonsense=1")
    root = server.base_url.removesuffix("/fhir")
    found = told(httpx.get(f"{root}/metrics").text)
    assert found["csor_mllp_skipped_bytes_total"] == 4
    assert found["csor_mllp_frames_total"] == 1
    assert found["csor_mllp_commits_total"] == 1
    assert found["csor_mllp_handshakes_failed_total"] == 0
    assert found["csor_lanes_busy"] == 0
    assert found['csor_requests_total{method="GET",status="4xx"}'] >= 1


def test_every_series_is_explained_to_operators(server: Served) -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    answered = httpx.get(f"{server.base_url.removesuffix('/fhir')}/metrics").text
    series = set(re.findall(r"^# TYPE (\w+)", answered, re.MULTILINE))
    assert series == set(re.findall(r"`(csor_\w+)`", page))


async def test_a_message_in_work_is_a_busy_lane(registry: Feed) -> None:
    lanes = Lanes()
    task = receive(registry.context, lanes, admit("busy", registry.wren)).work
    assert lanes.busy == 1
    await task
    assert lanes.busy == 0


def test_the_bounds_of_a_bucket_are_in_it(tmp_path: Path) -> None:
    counted = Metrics()
    for seconds in (0.005, 0.0051, 11.0):
        counted.message("mllp", "RTH", "ADT^A01", "AA", seconds)
    assert (counted.buckets[0], counted.buckets[1], counted.buckets[-1]) == (1, 1, 1)
    made = context(Settings(database=tmp_path / "csor.db"))
    made.database.close()
    assert made.metrics.messages == {}, "a process counts from its own start"
