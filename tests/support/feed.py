"""A hospital's feed without sockets: messages handed to the door of a registry, as MLLP hands them."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fhir_server.app import context
from fhir_server.context import Context
from fhir_server.interactions.transaction import transaction
from fhir_server.operations.lanes import Lanes
from fhir_server.operations.policies import Policy
from fhir_server.operations.receive import receive
from fhir_server.settings import Settings
from fhir_server.store import inbox
from r4.json import decode
from terminology import nhs_number

ODS = "https://fhir.nhs.uk/Id/ods-organization-code"
NHS = "https://fhir.nhs.uk/Id/nhs-number"


def numbers() -> Iterator[str]:
    """Yield NHS numbers of the range that is given to nobody."""
    for first in range(999_300_000, 999_500_000):
        yield from filter(nhs_number.is_valid, (f"{first}{digit}" for digit in range(10)))


fictitious = numbers()
"""The children of all feeds of a run: no number is given twice."""
_hospitals = (f"X{number:03}" for number in range(1000))


@dataclass
class Feed:
    """A registry with hospital RTH, what it has agreed with all who send, and two children of a test."""

    context: Context
    policy: Policy = field(default_factory=Policy)
    lanes: Lanes = field(default_factory=Lanes)
    wren: str = field(default_factory=lambda: next(fictitious))
    lark: str = field(default_factory=lambda: next(fictitious))
    unknown: str = field(default_factory=lambda: next(_hospitals))
    before: int = 0

    def __post_init__(self) -> None:
        """Count messages from here."""
        ((self.before,),) = self.context.database.read("SELECT coalesce(max(id), 0) FROM inbox")

    def policy_of(self, _connection: str | None) -> Policy:
        return self.policy

    def admit(self, control_id: str, number: str, *more: str, **parts: Any) -> bytes:
        """Write a message about a child, with a control id that no other feed has."""
        return admit(f"{self.before}-{control_id}", number, *more, **parts)

    async def send(self, *messages: bytes) -> list[str]:
        """Hand over messages at once; returns MSA-1 of each."""
        tasks = [
            receive(self.context, self.lanes, each, policy_of=self.policy_of).work
            for each in messages
        ]
        return [code(answer) for answer in await asyncio.gather(*tasks)]

    def statuses(self) -> list[str]:
        """List what became of each message, in the order of arrival."""
        rows = self.context.database.read(
            "SELECT status FROM inbox WHERE id > ? ORDER BY id", (self.before,)
        )
        return [row[0] for row in rows]

    def number(self, nth: int) -> int:
        """Return the number in the inbox of the nth message of this feed."""
        rows = self.context.database.read(
            "SELECT id FROM inbox WHERE id > ? ORDER BY id", (self.before,)
        )
        return int(rows[nth - 1][0])

    def message(self, nth: int) -> inbox.Message:
        found = inbox.read(self.context.database, self.number(nth))
        assert found is not None
        return found

    def resources(self, kind: str) -> list[dict[str, Any]]:
        rows = self.context.database.read(
            "SELECT body FROM resource JOIN content USING (rid)"
            " WHERE type = ? AND superseded IS NULL ORDER BY rid",
            (kind,),
        )
        return [decode(body) for (body,) in rows]

    def families(self) -> dict[str, str]:
        """Return the family name of each child, by its NHS number."""
        return {
            number["value"]: child["name"][0]["family"]
            for child in self.resources("Patient")
            for number in child["identifier"]
            if number["system"] == NHS and number["value"] in (self.wren, self.lark)
        }


def code(answer: bytes) -> str:
    return answer.partition(b"\rMSA|")[2][:2].decode()


@asynccontextmanager
async def feed(where: str, policy: Policy | None = None) -> AsyncIterator[Feed]:
    """Open a registry, which knows hospital RTH then, where CSOR_DATABASE says it is."""
    made = context(Settings(database=where))
    try:
        await hospital(made, "RTH")
        yield Feed(made, policy or Policy())
    finally:
        made.database.close()


def opened_registry(folder: Path) -> Iterator[Context]:
    """Open a registry on SQLite that knows hospital RTH, for many tests, and close it."""

    async def known() -> Context:
        made = context(Settings(database=str(folder / "csor.db")))
        await hospital(made, "RTH")
        return made

    made = asyncio.run(known())
    yield made
    made.database.close()


async def hospital(made: Context, ods: str) -> None:
    """Let the registry know a hospital."""
    resource = {"resourceType": "Organization", "identifier": [{"system": ODS, "value": ods}]}
    request = {"method": "POST", "url": "Organization", "ifNoneExist": f"identifier={ODS}|{ods}"}
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [{"resource": resource, "request": request}],
    }
    await made.database.driven(transaction(made, bundle))


def admit(
    control_id: str, number: str, family: str = "Testchild-Wren", *, event: str = "A08",
    ods: str = "RTH", more: Sequence[str] = (), at: str = "202001031015",
) -> bytes:  # fmt: skip
    """Write a message about a child; a number whose check digit is wrong makes it one that fails."""
    lines = [
        f"MSH|^~\\&|PAS|{ods}|CSOR|CSOR|{at}||ADT^{event}|{control_id}|P|2.4",
        f"EVN|{event}|{at}",
        f"PID|1||{number}^^^NHS~M{number[:9]}^^^{ods}^MR||{family}^Fictitious||20200102|1",
        f"PV1|1|I|W{'|' * 16}V{number}{'|' * 25}202001031000",
        *more,
    ]
    return "\r".join([*lines, ""]).encode()
