"""The HL7 v2 load: children of whom nobody exists, answers that count only where they are AA."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import hl7v2 as conversion
from benchmarks.load import messages, report
from benchmarks.load.__main__ import options
from benchmarks.load.driving import Driver, resident_bytes
from benchmarks.load.wire import Peer
from mappings import hl7v2
from terminology import nhs_number
from tests.support.server import Served, served


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("messages"), "sqlite") as running:
        yield running


def test_each_child_is_admitted_and_then_updated() -> None:
    seen = set()
    for pair in itertools.islice(messages.sent(), 50):
        first, second = map(hl7v2.parse, pair)
        assert (first.header.trigger_event, second.header.trigger_event) == ("A01", "A08")
        numbers = {each.segments("PID")[0].field(3).component(1) for each in (first, second)}
        [number] = numbers
        assert number.startswith("999")
        assert nhs_number.is_valid(number)
        seen |= {number, first.header.control_id, second.header.control_id}
    assert len(seen) == 150


async def test_answers_that_are_aa_are_counted_and_others_are_errors(registry: Served) -> None:
    driver = Driver(Peer.of(registry.base_url), 0.3, (os.getpid(),))
    before = await messages.drive(driver, registry.mllp_port, messages.sent(), 2)
    assert not before.latencies
    assert set(before.errors) == {"AE"}
    await messages.register(driver.peer)
    children = itertools.islice(messages.sent(), 40, None)
    found = await messages.drive(driver, registry.mllp_port, children, 2)
    assert found.latencies
    assert not found.errors
    assert "ADT over MLLP, 2" in report.row(found)


async def test_a_sustained_load_says_how_rate_and_memory_went(registry: Served) -> None:
    driver = Driver(Peer.of(registry.base_url), 1, (os.getpid(),))
    await messages.register(driver.peer)
    children = itertools.islice(messages.sent(), 1000, None)
    found = await messages.sustain(driver, registry.mllp_port, children, 1)
    tenths = found.notes["per_second_by_tenth"]
    assert isinstance(tenths, list)
    assert len(tenths) == 10
    assert found.notes["least_tenth_per_second"] == min(tenths)
    assert max(tenths) > 0
    assert float(str(found.notes["mebibytes_after"])) > 1
    assert not found.errors


def test_memory_is_that_of_the_processes_named() -> None:
    own = resident_bytes((os.getpid(),))
    if not Path("/proc/self/statm").exists():
        assert own is None
    else:
        assert own is not None
        assert own > 10 * 2**20
    assert resident_bytes(()) is None


def test_sustaining_is_of_the_server_that_is_started_here() -> None:
    assert options(["--sustain", "60"]).sustain == 60
    with pytest.raises(SystemExit):
        options(["--sustain", "60", "--base-url", "http://localhost/fhir"])


def test_a_conversion_that_is_slower_than_its_target_is_said() -> None:
    for name, wanted in conversion.TARGETS.items():
        assert conversion.missed(name, wanted) == []
        [said] = conversion.missed(name, wanted - 1)
        assert said.startswith(name)
