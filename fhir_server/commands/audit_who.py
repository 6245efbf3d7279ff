"""`audit who`: who looked at a child, or changed something of its record; for a person to read, or as CSV."""

import asyncio
import csv
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TextIO

from fhir_server.app import alone
from fhir_server.context import Context, instant
from fhir_server.interactions.audit_events import outcome
from fhir_server.settings import Settings
from fhir_server.store import audit_search
from fhir_server.store import read as store
from fhir_server.store.audit import Access
from fhir_server.store.search.texts import escape
from terminology.systems import NHS_NUMBER

_PAGE = 1000
COLUMNS = ("when", "who", "role", "hospital", "why", "what", "on", "asked", "outcome", "from")
_OUTCOMES = {"0": "", "4": "refused", "8": "failed"}
_DONE = {
    "read": "read", "vread": "read an earlier version", "search-type": "searched",
    "search-system": "searched", "search-compartment": "searched",
    "history-instance": "read the history", "history-type": "read the history",
    "history-system": "read the history", "create": "stored", "update": "changed",
    "delete": "deleted", "patch": "changed", "purge": "erased", "$export": "exported",
    "$everything": "read the record",
}  # fmt: skip


def who(settings: Settings, patient: str, *, is_csv: bool, is_number: bool) -> int:
    """Print each access that told of a child, oldest first; exit status 1 where there is none.

    patient: as Patient/123; with is_number, one NHS number read from the standard input, so that it
    stands in no list of processes and no history of a shell. Raises ValueError where nobody is meant.
    """
    said = sys.stdin.readline().strip() if is_number else patient

    async def work(made: Context) -> list[tuple[str, ...]]:
        key = _numbered(made, said) if is_number else _id(said)
        return [_row(each) for each in _told(made, key)]

    rows = asyncio.run(alone(settings, work))
    if is_csv:
        _write(rows, sys.stdout)
        return int(not rows)
    for row in rows:
        print(_sentence(dict(zip(COLUMNS, row, strict=True))))
    print(f"{len(rows)} accesses told of this child")
    return int(not rows)


def _id(said: str) -> str:
    kind, mark, key = said.partition("/")
    if kind != "Patient" or not mark or not key:
        raise ValueError("name the child as Patient/123, or by --nhs-number-from-stdin")
    return key


def _numbered(made: Context, number: str) -> str:
    """Return the id of the Patient with an NHS number; raises ValueError for none, without the number."""
    criteria = f"identifier={NHS_NUMBER}|{escape(number.replace(' ', ''))}"
    found = store.every(made.database, "Patient", criteria) if number else []
    if not found:
        raise ValueError("no child with this NHS number is known here")
    return found[0].id


def _told(made: Context, patient: str) -> Iterator[Access]:
    """Yield the accesses that told of a child, oldest first."""
    condition = audit_search.of_child(made.database, patient)
    found: list[Access] = []
    before = None
    while page := audit_search.page(made.database, [condition], before, _PAGE):
        found += page
        before = page[-1].id
    return reversed(found)


def _row(access: Access) -> tuple[str, ...]:
    agent = access.agent
    place = "/".join(each for each in (access.type, access.key) if each)
    moment = instant(datetime.fromtimestamp(access.moment / 1_000_000, UTC))
    status = "stored" if access.version else str(access.status or "")
    found = f"{_OUTCOMES[outcome(access)]} {status}".strip()
    version = f"/_history/{access.version}" if access.version else ""
    return (
        moment, agent.name, agent.role or "", agent.hospital or "", agent.purpose or "",
        access.interaction, f"{place}{version}", access.query or "", found, agent.address or "",
    )  # fmt: skip


def _sentence(row: dict[str, str]) -> str:
    """Write an access as a line for a person."""
    name = f"{row['who']} ({row['role']})" if row["role"] else row["who"]
    done = _DONE.get(row["what"], row["what"])
    parts = [
        f"{row['when']}  {name}",
        f"for {row['hospital']}" if row["hospital"] else "",
        f"{done} {row['on']}" if row["on"] else done,
        f"by {row['asked'].replace('&', ', ')}" if row["asked"] else "",
        f"because {row['why']}" if row["why"] else "no reason said",
        row["outcome"],
    ]
    return "; ".join(each for each in parts if each)


def _write(rows: Sequence[tuple[str, ...]], out: TextIO) -> None:
    """Write rows as CSV; what a spreadsheet would take for a formula begins with an apostrophe."""
    written = csv.writer(out, lineterminator="\n")
    written.writerow(COLUMNS)
    for row in rows:
        written.writerow([f"'{each}" if each[:1] in "=+-@" and each else each for each in row])
