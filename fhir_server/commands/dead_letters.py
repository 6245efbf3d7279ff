"""`dead-letters`: see which notifications were given up, and send them again."""

import asyncio
from datetime import UTC, datetime

from fhir_server.app import alone
from fhir_server.context import Context, instant
from fhir_server.operations import rest_hook
from fhir_server.operations.subscriptions import send_again
from fhir_server.settings import Settings
from fhir_server.store import subscriptions as cursors


def dead_letters(settings: Settings, numbers: list[int] | None = None) -> int:
    """Print every dead letter, or send those that are numbered again; no content is shown.

    Returns exit status 1 where one that is numbered is not there, or is not accepted.
    """
    work = _listed if numbers is None else lambda made: _sent_again(made, numbers)
    return asyncio.run(alone(settings, work))


async def _listed(made: Context) -> int:
    letters = cursors.dead_letters(made.database)
    for letter in letters:
        moment = instant(datetime.fromtimestamp(letter.moment / 1_000_000, UTC))
        print(f"{letter.id}\t{moment}\tSubscription/{letter.subscription}", end="")
        print(f"\tevent {letter.number}\t{letter.reason}")
    print(f"{len(letters)} dead letters")
    return 0


async def _sent_again(made: Context, numbers: list[int]) -> int:
    status = 0
    async with rest_hook.client() as http:
        for number in numbers:
            letter = cursors.dead_letter(made.database, number)
            reason = "not known" if letter is None else await send_again(made, http, letter)
            print(f"{number}\t{reason or 'delivered'}")
            status = 1 if reason else status
    return status
