"""Operators and the inbox: messages are listed, worked again, mapped anew, set aside and released."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fhir_server.__main__ import main
from fhir_server.commands import inbox as command
from fhir_server.operations.policies import Policy
from fhir_server.settings import Settings
from mappings import hl7v2, layers
from tests.support.databases import KINDS, new_database
from tests.support.feed import Feed, admit, feed, hospital

WREN, LARK = "9990000018", "9990000026"
Said = Callable[..., list[list[str]]]


@pytest.fixture
def where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("CSOR_DATABASE", str(tmp_path / "csor.db"))
    return str(tmp_path / "csor.db")


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    """Runs a command; returns its lines, divided at tabs."""

    def run(*arguments: str, status: int = 0) -> list[list[str]]:
        capsys.readouterr()
        assert main(list(arguments)) == status
        return [line.split("\t") for line in capsys.readouterr().out.splitlines()]

    return run


def newer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what is opened from here on have tables of another version."""
    engine = replace(hl7v2.own(), version="new")
    monkeypatch.setattr(layers, "engine", lambda _place: engine)


def using(
    where: str, use: Callable[[Feed], Awaitable[object]], policy: Policy | None = None
) -> None:
    """Do something with a registry's feed, and close it."""

    async def run() -> None:
        async with feed(where, policy) as made:
            made.before = 0
            await use(made)

    asyncio.run(run())


def sent(where: str, *messages: bytes, policy: Policy | None = None) -> None:
    using(where, lambda made: made.send(*messages), policy)


def test_the_list_says_what_why_and_whence_and_nothing_of_the_child(where: str, said: Said) -> None:
    sent(
        where,
        admit("1", WREN),
        admit("2", WREN, "Testchild-Secret", ods="RGT"),
        admit("3", LARK, "Testchild-Secret", ods="RCB", event="A01"),
    )
    (first, second, tally) = said("inbox")
    assert first[0] == "2"
    assert first[2:7] == ["mllp", "RGT", "ADT^A08", "PAS|RGT", "2"]
    assert "RGT" in first[8]
    assert tally == ["1 processed, 2 refused"]
    assert "Testchild" not in str(first + second)
    assert said("inbox", "--hospital", "RCB")[0][0] == "3"
    assert said("inbox", "--kind", "ADT^A01")[0][0] == "3"
    assert said("inbox", "--status", "processed")[0][0] == "1"
    assert len(said("inbox", "--since", "2200-01-01")) == 1
    assert len(said("inbox", "--until", "2200-01-01", "--sender", "PAS|RGT")) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_those_that_are_chosen_are_worked_again_oldest_first(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: Said
) -> None:
    where = new_database(kind, tmp_path)
    monkeypatch.setenv("CSOR_DATABASE", where)
    names = [f"Testchild-{n}" for n in range(20)]
    sent(where, *(admit(str(n), WREN, name, ods="RGT") for n, name in enumerate(names)),
         admit("other", LARK, ods="RCB"))  # fmt: skip

    async def mend(made: Feed) -> None:
        await hospital(made.context, "RGT")
        await hospital(made.context, "RCB")

    using(where, mend)
    told = said("replay", "--hospital", "RGT")
    assert [line[:2] for line in told] == [[str(n), "processed"] for n in range(1, 21)]

    async def look(made: Feed) -> None:
        assert made.statuses() == ["processed"] * 20 + ["refused"]
        (child,) = made.resources("Patient")
        assert child["name"][0]["family"] == names[-1]
        assert child["meta"]["versionId"] == "20"

    using(where, look)


def test_a_dry_run_says_what_would_become_of_each_and_changes_no_row(
    where: str, said: Said
) -> None:
    sent(where, admit("1", WREN, ods="RGT"), admit("2", LARK, ods="RCB"), admit("3", WREN))

    async def rows(made: Feed) -> list[object]:
        asked = ("SELECT * FROM inbox", "SELECT * FROM resource", "SELECT * FROM audit")
        return [list(made.context.database.read(each)) for each in asked]

    before: list[object] = []
    after: list[object] = []

    async def mend(made: Feed) -> None:
        await hospital(made.context, "RGT")
        before.extend(await rows(made))

    async def look(made: Feed) -> None:
        after.extend(await rows(made))

    using(where, mend)
    told = said("replay", "--dry-run")
    assert told[0][:2] == ["1", "would be accepted"]
    assert told[0][2] == "2 created, 1 updated"
    assert told[1][:2] == ["2", "would be refused"]
    assert "RCB" in told[1][2]
    assert len(told) == 2
    mapped = said("replay", "--dry-run", "--processed", "--map-version", hl7v2.own().version)
    assert [line[:2] for line in mapped] == [["3", "would be accepted"]]
    using(where, look)
    assert after == before


class TestNewTables:
    def test_what_was_processed_is_mapped_anew_once_with_a_provenance_for_each_run(
        self, where: str, said: Said, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sent(where, admit("1", WREN), admit("2", LARK, ods="RGT"))
        assert said("replay", "--processed") == [], "these tables have mapped it"
        old = hl7v2.own().version
        newer(monkeypatch)
        assert [line[:2] for line in said("replay", "--processed")] == [["1", "processed"]]
        assert said("replay", "--processed") == [], "the same command would go on, and is done"
        assert said("replay", "--processed", "--map-version", old) == []

        async def look(made: Feed) -> None:
            message = made.message(1)
            assert (message.status, message.attempts, message.map_version) == (
                "processed",
                2,
                "new",
            )
            assert b"MSA|AA|1" in (message.answer or b"")
            assert len(made.resources("Provenance")) == 2
            (child,) = made.resources("Patient")
            assert child["meta"]["versionId"] == "1", "it says the same as before"
            assert await made.send(admit("1", WREN)) == ["AA"]
            assert made.message(1).attempts == 2, "its sender is answered as before"

        using(where, look)

    def test_one_that_they_refuse_stays_processed_and_is_noted(
        self, where: str, said: Said, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sent(where, admit("1", WREN))
        newer(monkeypatch)
        monkeypatch.setattr("mappings.hl7v2.tables.versions", lambda: frozenset({"9"}))
        ((number, status, note),) = said("replay", "--processed")
        assert (number, status) == ("1", "processed")
        assert note.startswith("not mapped anew with new: ")

    def test_a_message_is_named_by_number_only_with_the_flag(self, where: str, said: Said) -> None:
        sent(where, admit("1", WREN))
        assert "not replayed: with --processed" in said("replay", "1", status=1)[0][2]
        assert said("replay", "1", "--processed")[0][:2] == ["1", "processed"]
        assert said("replay", "77", status=1)[0][1] == "unknown"


class TestDecisions:
    def test_a_dismissed_message_is_worked_by_its_number_alone(
        self, where: str, said: Said
    ) -> None:
        sent(where, admit("1", WREN, ods="RGT"))
        assert said("dismiss", "1", "--reason", "sent to us by mistake")[0][1] == "dismissed"
        assert "sent to us by mistake" in said("inbox", "--status", "dismissed")[0][8]
        said("dismiss", "1", "--reason", "again", status=1)
        using(where, lambda made: hospital(made.context, "RGT"))
        assert said("replay") == []
        assert said("replay", "1")[0][:2] == ["1", "processed"]
        said("dismiss", "1", "--reason", "too late", status=1)

    def test_a_quarantined_message_is_released_not_replayed(self, where: str, said: Said) -> None:
        sent(where, admit("1", WREN), admit("1", LARK))
        assert said("inbox", "--status", "quarantined")[0][0] == "2"
        assert "release or dismiss it" in said("replay", "2", status=1)[0][2]
        assert said("release", "2")[0][:2] == ["2", "processed"]
        said("release", "2", status=1)

    def test_what_waited_is_worked_once_the_one_that_failed_is_mended(
        self, where: str, said: Said, capsys: pytest.CaptureFixture[str]
    ) -> None:
        park = Policy(failing="park")
        sent(where, admit("1", WREN, ods="RGT"), admit("2", WREN, "Testchild-Late"), policy=park)
        using(where, lambda made: hospital(made.context, "RGT"))
        assert command.replay(Settings(database=where), [1], policy_of=lambda _: park) == 0

        async def look(made: Feed) -> None:
            assert made.statuses() == ["processed", "processed"]
            assert made.resources("Patient")[0]["name"][0]["family"] == "Testchild-Late"

        using(where, look)


def test_a_replay_that_ends_in_the_middle_is_gone_on_with_by_the_same_command(
    where: str, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent(where, *(admit(str(n), WREN, f"Testchild-{n}") for n in range(6)))
    newer(monkeypatch)
    map_one, left = hl7v2.to_bundle, iter(range(3))

    def ends(*arguments: object) -> object:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return map_one(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(hl7v2, "to_bundle", ends)
    said("replay", "--processed", status=130)
    monkeypatch.setattr(hl7v2, "to_bundle", map_one)
    assert [line[0] for line in said("replay", "--processed")] == ["4", "5", "6"]
