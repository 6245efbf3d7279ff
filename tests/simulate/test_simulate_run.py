"""A run through real sockets: what is answered is in the ledger, what is lost is sent again."""

import argparse
import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from time import monotonic

import pytest
from rich.console import Console

from fhir_server.simulate import Options, Summary, add_arguments, from_arguments, shown, simulate
from fhir_server.simulate import run as run_to_the_end
from fhir_server.simulate.mllp import acknowledgement
from r4.issue import FhirError
from tests.simulate.doors import HttpDoor, MllpDoor, header

Go = Callable[..., Awaitable[Summary]]


@pytest.fixture
def go(mllp: MllpDoor, http: HttpDoor, tmp_path: Path) -> Go:
    """Run a small simulation of two hospitals, one of each kind, against the two doors."""

    async def start(**changed: object) -> Summary:
        options = Options(
            fhir=f"http://127.0.0.1:{http.port}/fhir",
            mllp=f"127.0.0.1:{mllp.port}",
            years=1,
            size=0.2,
            hospitals=("RTH", "RP4"),
            ledger=tmp_path / "ledger.ndjson",
            patience=5,
        )
        return await simulate(replace(options, **changed))

    return start


def ledger(tmp_path: Path) -> list[dict]:
    return [json.loads(line) for line in (tmp_path / "ledger.ndjson").read_text().splitlines()]


async def test_a_run_sends_everything_and_writes_down_every_answer(
    go: Go, mllp: MllpDoor, http: HttpDoor, tmp_path: Path
) -> None:
    summary = await go()
    lines = ledger(tmp_path)
    by_door = Counter(line["door"] for line in lines)
    assert by_door["mllp"] == len(mllp.messages) > 50
    assert by_door["http"] == sum(method != "GET" for method, *_ in http.requests)
    assert [line["id"] for line in lines if line["door"] == "mllp"] == [
        header(message)[9] for message in mllp.messages
    ]
    assert summary.answered == len(lines)
    assert summary.notes == len(http.of("QuestionnaireResponse/$sign")) > 0
    assert summary.surveys == len(http.of("QuestionnaireResponse/$process-response")) > 0
    assert summary.missing_forms == ()


async def test_hospitals_are_registered_before_anything_else(go: Go, http: HttpDoor) -> None:
    await go()
    first = [(method, path) for method, path, *_ in http.requests[:4]]
    ods = "Organization?identifier=https://fhir.nhs.uk/Id/ods-organization-code%7C"
    assert first == [("PUT", f"{ods}RTH"), ("POST", ""), ("PUT", f"{ods}RP4"), ("POST", "")]


async def test_requests_carry_a_key_that_makes_a_resend_harmless(go: Go, http: HttpDoor) -> None:
    await go()
    bodies: dict[str, str] = {}
    for method, path, fields, body in http.requests:
        if method != "GET":
            assert fields["x-request-id"] == fields["idempotency-key"]
            text = f"{path} {json.dumps(body)}"
            assert bodies.setdefault(fields["idempotency-key"], text) == text
    assert len(bodies) > 30


async def test_a_lost_connection_is_opened_again_and_the_message_sent_again(
    go: Go, mllp: MllpDoor, tmp_path: Path
) -> None:
    mllp.drop_at = {3, 10}
    await go()
    assert mllp.messages[2] == mllp.messages[3]
    assert mllp.messages[9] == mllp.messages[10]
    answered = [line["id"] for line in ledger(tmp_path) if line["door"] == "mllp"]
    assert len(answered) == len(mllp.messages) - 2


async def test_a_listener_that_comes_back_is_waited_for(go: Go, mllp: MllpDoor) -> None:
    await mllp.close()
    running = asyncio.create_task(go())
    await asyncio.sleep(0.4)
    assert not running.done()
    await mllp.open()
    assert (await running).messages["ADT^A01"] > 0


async def test_patience_ends(go: Go, mllp: MllpDoor, tmp_path: Path) -> None:
    await mllp.close()
    with pytest.raises(FhirError, match=r"stayed away for 0\.2 s"):
        await go(patience=0.2)
    assert all(line["door"] == "http" for line in ledger(tmp_path))


async def test_a_busy_server_is_asked_again(go: Go, http: HttpDoor, tmp_path: Path) -> None:
    http.statuses = [503, 429]
    await go()
    assert [path for _, path, *_ in http.requests[:3]] == [http.requests[0][1]] * 3
    assert {line["answer"] for line in ledger(tmp_path) if line["door"] == "http"} <= {201, 400}


async def test_what_the_server_stored_and_what_it_refused_is_in_the_ledger(
    go: Go, http: HttpDoor, tmp_path: Path
) -> None:
    http.stored = ["Patient/1/_history/1"]
    http.statuses = [201, 422]
    summary = await go()
    registered, refused, *_ = ledger(tmp_path)
    assert registered["id"] == ["http://stub/1", "Patient/1/_history/1"]
    assert refused["answer"] == 422
    assert "the door said no" in summary.problems[0]


async def test_json_that_is_cut_short_is_refused_as_meant(go: Go, tmp_path: Path) -> None:
    summary = await go(hospitals=("RP4",), size=3)
    refused = [line for line in ledger(tmp_path) if line["answer"] == 400]
    assert refused
    assert all(line["faulty"] for line in refused)
    assert summary.refused == len(refused)


async def test_value_sets_are_expanded_by_the_server_unless_the_form_holds_them(
    go: Go, http: HttpDoor
) -> None:
    held = {"resourceType": "ValueSet", "id": "held", "compose": {"include": [
        {"system": "s", "concept": [{"code": "held"}]}
    ]}}  # fmt: skip
    url = "https://example.org/ValueSet/asked|1"
    http.expansions = {url: {"expansion": {"contains": [{"system": "s", "code": "asked"}]}}}
    items = [
        {"linkId": name, "type": "choice", "required": True, "answerValueSet": where}
        for name, where in (("one", "#held"), ("two", url))
    ]
    for form in http.forms.values():
        form |= {"contained": [held], "item": items}
    await go()
    for answers in (each["item"] for each in http.of("QuestionnaireResponse/$process-response")):
        assert [each["answer"][0]["valueCoding"]["code"] for each in answers] == ["held", "asked"]


async def test_a_server_that_cannot_give_its_forms_stops_the_run(go: Go, http: HttpDoor) -> None:
    http.broken = True
    with pytest.raises(FhirError, match="was answered with 500"):
        await go()


async def test_a_late_acknowledgement_of_another_message_is_passed_over(
    go: Go, mllp: MllpDoor
) -> None:
    mllp.late = ["RTH-1-999999"]
    mllp.answer = lambda _: "AE"
    summary = await go(hospitals=("RTH",))
    assert summary.refused == len(mllp.messages)


async def test_refusals_are_counted_and_those_nobody_meant_are_shown(
    go: Go, mllp: MllpDoor, tmp_path: Path
) -> None:
    mllp.answer = lambda message: "AE" if b"|ADT^A03" in message else "AA"
    summary = await go()
    refused = [line for line in ledger(tmp_path) if line["answer"] == "AE"]
    assert {line["kind"] for line in refused} == {"ADT^A03"}
    assert summary.refused >= len(refused) > 0
    assert summary.unexpected > 0
    assert "ADT^A03" in summary.problems[0]


async def test_a_resumed_run_sends_only_what_is_not_in_the_ledger(
    go: Go, mllp: MllpDoor, tmp_path: Path
) -> None:
    whole = await go()
    all_lines, first_run = ledger(tmp_path), list(mllp.messages)
    kept = all_lines[: len(all_lines) // 2]
    cut = json.dumps(all_lines[len(kept)])[:40]
    (tmp_path / "ledger.ndjson").write_text("".join(json.dumps(line) + "\n" for line in kept) + cut)
    mllp.messages.clear()
    resumed = await go(resume=True)
    assert resumed.skipped == len(kept)
    assert resumed.answered == whole.answered - len(kept)
    of_the_kept = sum(line["door"] == "mllp" for line in kept)
    assert mllp.messages == first_run[of_the_kept:]
    digests = Counter((line["hospital"], line["sha256"]) for line in ledger(tmp_path))
    assert digests == Counter((line["hospital"], line["sha256"]) for line in all_lines)


async def test_resuming_without_a_ledger_is_a_run_from_the_start(go: Go, tmp_path: Path) -> None:
    assert (await go(resume=True)).skipped == 0
    assert ledger(tmp_path)


async def test_a_new_run_begins_a_new_ledger(go: Go, tmp_path: Path) -> None:
    await go()
    once = len(ledger(tmp_path))
    await go()
    assert len(ledger(tmp_path)) == once


async def test_a_server_without_forms_gets_messages_only(go: Go, http: HttpDoor) -> None:
    http.forms = {}
    summary = await go()
    assert summary.notes == summary.surveys == 0
    assert len(summary.missing_forms) == 2


async def test_a_rate_is_kept(go: Go) -> None:
    started = monotonic()
    summary = await go(rate=100, hospitals=("RTH",), size=0.05, until=date(2018, 6, 30))
    assert summary.answered > 10
    assert monotonic() - started >= (summary.answered - 1) / 100


async def test_progress_is_reported_with_rising_counts(mllp: MllpDoor, http: HttpDoor) -> None:
    seen: list[Summary] = []
    options = Options(
        fhir=f"http://127.0.0.1:{http.port}/fhir",
        mllp=f"127.0.0.1:{mllp.port}",
        years=1,
        size=0.2,
    )
    summary = await simulate(options, seen.append)
    counts = [each.answered for each in seen]
    assert counts == sorted(counts)
    assert seen[-1] == summary
    assert summary.children == 110
    assert abs(summary.expected - summary.answered) < 0.3 * summary.answered


def test_without_a_terminal_a_line_is_printed_every_five_seconds() -> None:
    console = Console(record=True, force_terminal=False, width=120)
    base = Summary(1, 10, {"ADT^A01": 5}, 0, 0, 1, 0, 0, 0.0)
    with shown(console) as report:
        for seconds in (1.0, 2.0, 5.9, 6.1):
            report(replace(base, seconds=seconds))
    lines = console.export_text().splitlines()
    assert [line.rsplit(", ", 1)[1] for line in lines] == ["1 s", "6 s"]
    assert "6 answered" in lines[0]


def test_on_a_terminal_there_is_a_bar() -> None:
    console = Console(record=True, force_terminal=True, width=120)
    with shown(console) as report:
        report(Summary(1, 10, {"ADT^A01": 5}, 2, 1, 1, 0, 0, 3.0))
    assert "6 answered, 2 notes, 1 surveys, 1 refused, 2/s" in console.export_text()


def test_the_command_line_says_when_the_server_is_not_there() -> None:
    options = Options(fhir="http://127.0.0.1:9/fhir", mllp="127.0.0.1:9", patience=0, size=0.01)
    with pytest.raises(FhirError, match="stayed away"):
        run_to_the_end(options, Console(quiet=True))


class TestArguments:
    @staticmethod
    def parse(*words: str) -> Options:
        parser = argparse.ArgumentParser(exit_on_error=False)
        add_arguments(parser)
        return from_arguments(parser.parse_args(words))

    def test_without_arguments_the_defaults_hold(self) -> None:
        assert self.parse() == Options()

    def test_every_option_has_an_argument(self) -> None:
        words = (
            "--fhir http://h/fhir/ --mllp [::1]:1 --seed 3 --start 2019-04-01 --years 1 --until "
            "2020-01-01 --size 0.5 --hospitals RTH,RP4 --rate 9 --ledger l --resume --patience 4"
        )
        options = self.parse(*words.split())
        assert options == Options(
            "http://h/fhir",
            "[::1]:1",
            3,
            date(2019, 4, 1),
            1,
            date(2020, 1, 1),
            0.5,
            ("RTH", "RP4"),
            9,
            Path("l"),
            resume=True,
            patience=4,
        )
        assert options.mllp_address == ("::1", 1)

    @pytest.mark.parametrize(
        "words", ["--hospitals XYZ", "--size -1", "--mllp 2575", "--seed x", "--rate much"]
    )
    def test_what_makes_no_sense_is_refused(self, words: str) -> None:
        with pytest.raises((argparse.ArgumentError, SystemExit)):
            self.parse(*words.split())


def test_an_answer_without_msa_is_no_acknowledgement() -> None:
    with pytest.raises(ConnectionError):
        acknowledgement(b"\x0bMSH|^~\\&|A\r\x1c\r")


def test_the_words_of_a_refusal_are_kept() -> None:
    frame = b"\x0bMSH|^~\\&|A\rMSA|AE|7\rERR|^^^207|no such hospital\r\x1c\r"
    named, answer = acknowledgement(frame)
    assert (named, answer.code, answer.accepted) == ("7", "AE", False)
    assert "no such hospital" in answer.text
