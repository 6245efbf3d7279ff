"""Messages that are worked at the same time leave what they would leave one after the other."""

import asyncio
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from terminology import nhs_number
from tests.support.server import Served

ODS = "https://fhir.nhs.uk/Id/ods-organization-code"
NHS = "https://fhir.nhs.uk/Id/nhs-number"
GROUPS, MESSAGES = 3, 5
Step = tuple[str, int, str]
"""Event, which of the two children of a group, family name."""


@pytest.fixture(scope="module", autouse=True)
def _hospital(server: Served) -> None:
    body = {"resourceType": "Organization", "identifier": [{"system": ODS, "value": "RTH"}]}
    assert server.http.put(f"/Organization?identifier={ODS}|RTH", json=body).status_code == 201


def _numbers() -> Iterator[str]:
    """Yield NHS numbers of the range that is given to nobody."""
    for first in range(999_500_000, 999_999_999):
        for digit in range(10):
            if nhs_number.is_valid(f"{first}{digit}"):
                yield f"{first}{digit}"


numbers = _numbers()
control_ids = itertools.count(1)


def message(step: Step, pair: Sequence[str]) -> bytes:
    event, which, family = step
    number, other = pair[which], pair[1 - which]
    head = f"MSH|^~\\&|PAS|RTH|CSOR|CSOR|202001031015||ADT^{event}|L-{next(control_ids)}|P|2.4"
    child = f"PID|1||{number}^^^NHS~M{number}^^^RTH^MR||{family}^Fictitious||20200102|1"
    ended = "202001051000" if event == "A03" else ""
    lines = [head, f"EVN|{event}|202001031015", child]
    if event == "A40":
        lines.append(f"MRG|{other}^^^NHS~M{other}^^^RTH^MR")
    else:
        lines.append(f"PV1|1|I|W{'|' * 16}V{number}{'|' * 25}202001031000|{ended}")
    return "\r".join([*lines, ""]).encode()


async def answers(port: int, messages: Sequence[bytes], *, at_once: bool) -> list[str]:
    """Send over one connection, all in one write or each after the last answer; returns MSA-1."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    frames = [b"\x0b" + each + b"\x1c\x0d" for each in messages]
    codes = []
    if at_once:
        writer.write(b"".join(frames))
    for sent, frame in zip(messages, frames, strict=True):
        if not at_once:
            writer.write(frame)
        answer = await asyncio.wait_for(reader.readuntil(b"\x1c\x0d"), 30)
        told = answer.partition(b"\rMSA|")[2].partition(b"\r")[0]
        code, control_id = told.split(b"|")[:2]
        assert control_id == sent.split(b"|")[9], "answers come in the order of arrival"
        codes.append(code.decode())
    writer.close()
    return codes


def state(server: Served, pair: Sequence[str]) -> list[Any]:
    """Return what is stored of two children, their numbers written as 0 and 1."""
    found = []
    for number in pair:
        answer = server.http.get(f"/Patient?identifier={NHS}|{number}").json()
        for child in [entry["resource"] for entry in answer.get("entry", [])]:
            stays = server.http.get(f"/Encounter?patient={child['id']}&_sort=identifier").json()
            found.append(
                (
                    pair.index(number), child.get("name"), child.get("active"),
                    child["meta"]["versionId"], [each["type"] for each in child.get("link", [])],
                    [
                        (stay["resource"]["status"], stay["resource"]["meta"]["versionId"])
                        for stay in stays.get("entry", [])
                    ],
                )
            )  # fmt: skip
    return found


STEPS = st.lists(
    st.tuples(
        st.sampled_from(("A01", "A08", "A08", "A03", "A40")),
        st.integers(0, 1),
        st.sampled_from(("Testchild-Wren", "Testchild-Lark", "Testchild-Finch")),
    ),
    min_size=1,
    max_size=MESSAGES,
)

PICKS = st.lists(st.integers(0, 5), min_size=GROUPS * MESSAGES, max_size=GROUPS * MESSAGES)


def interleaved(
    scripts: list[list[Step]], picks: list[int], connections: int, pairs: Sequence[Sequence[str]]
) -> list[list[tuple[int, bytes]]]:
    """Return what each connection sends: the scripts' messages mixed, each script's in order."""
    queues: list[list[tuple[int, bytes]]] = [[] for _ in range(connections)]
    left = {at: list(script) for at, script in enumerate(scripts)}
    for pick in picks:
        if left:
            at = sorted(left)[pick % len(left)]
            queues[at % connections].append((at, message(left[at].pop(0), pairs[at])))
            left = {each: steps for each, steps in left.items() if steps}
    return queues


def test_any_interleaving_leaves_each_child_as_its_messages_one_by_one_would(
    server: Served,
) -> None:
    @settings(max_examples=5, deadline=None, phases=[Phase.generate])
    @given(st.lists(STEPS, min_size=1, max_size=GROUPS), st.integers(1, 2), PICKS)
    def holds(scripts: list[list[Step]], connections: int, picks: list[int]) -> None:
        serial = [(next(numbers), next(numbers)) for _ in scripts]
        mixed = [(next(numbers), next(numbers)) for _ in scripts]
        queues = interleaved(scripts, picks, connections, mixed)

        async def together() -> list[list[str]]:
            sending = (answers(server.mllp_port, [m for _, m in q], at_once=True) for q in queues)
            return await asyncio.gather(*sending)

        told: dict[int, list[str]] = {at: [] for at in range(len(scripts))}
        for queue, codes in zip(queues, asyncio.run(together()), strict=True):
            for (at, _), code in zip(queue, codes, strict=True):
                told[at].append(code)
        for at, script in enumerate(scripts):
            one_by_one = [message(step, serial[at]) for step in script]
            codes = asyncio.run(answers(server.mllp_port, one_by_one, at_once=False))
            assert told[at] == codes
            assert state(server, mixed[at]) == state(server, serial[at])

    holds()


def test_a_burst_about_one_child_is_stored_in_the_order_in_which_it_came(server: Served) -> None:
    pair = (next(numbers), next(numbers))
    burst = [message(("A08", 0, f"Testchild-{n}"), pair) for n in range(20)]
    assert asyncio.run(answers(server.mllp_port, burst, at_once=True)) == ["AA"] * 20
    (child,) = state(server, pair)
    assert (child[1][0]["family"], child[3]) == ("Testchild-19", "20")
    (found,) = server.http.get(f"/Patient?identifier={NHS}|{pair[0]}").json()["entry"]
    history = server.http.get(f"/Patient/{found['resource']['id']}/_history?_count=50").json()[
        "entry"
    ]
    families = [entry["resource"]["name"][0]["family"] for entry in reversed(history)]
    assert families == [f"Testchild-{n}" for n in range(20)]
