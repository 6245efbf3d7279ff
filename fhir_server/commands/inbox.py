"""`inbox`: see what arrived and was refused, and send it through again once the cause is mended."""

import asyncio

import httpx

from fhir_server.app import application, context
from fhir_server.context import Context, microseconds
from fhir_server.operations.process_message import work
from fhir_server.settings import Settings
from fhir_server.store import inbox
from fhir_server.store.inbox import Message, Settlement, Status


def listing(settings: Settings, status: Status) -> None:
    """Print the messages of one status: number, door, sender, control id and reason; no content."""
    made = context(settings)
    try:
        for message in inbox.waiting(made.database, status):
            what = message.control_id if message.door == "mllp" else message.target
            print(f"{message.id}\t{message.door}\t{message.sender}\t{what}\t{message.reason or ''}")
        print(
            ", ".join(f"{n} {s}" for s, n in sorted(inbox.tally(made.database).items())) or "empty"
        )
    finally:
        made.database.close()


def replay(settings: Settings, numbers: list[int]) -> None:
    """Process refused messages again, all of them or those named, and print what became of each."""
    made = context(settings)
    try:
        asyncio.run(_replay(made, numbers))
    finally:
        made.database.close()


async def _replay(made: Context, numbers: list[int]) -> None:
    if numbers:
        chosen = [m for number in numbers if (m := inbox.read(made.database, number))]
    else:
        chosen = inbox.waiting(made.database, "refused")
    for message in chosen:
        if message.door == "mllp":
            await work(made, message)
        else:
            await _replay_http(made, message)
        after = inbox.read(made.database, message.id)
        if after is not None:
            print(f"{message.id}\t{after.status}\t{after.reason or ''}")


async def _replay_http(made: Context, message: Message) -> None:
    method, _, target = message.target.partition(" ")
    transport = httpx.ASGITransport(application(made), client=("127.0.0.1", 0))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        answer = await client.request(
            method, target, content=message.raw,
            headers={"Content-Type": "application/fhir+json"},
        )  # fmt: skip
    if answer.is_success:
        moment = microseconds(made.now())
        await inbox.refuse(
            made.database, Settlement(message.id, "processed", moment, answer.content)
        )
