"""`audit`: who did what to which resource; and whether what is told of it has been changed since."""

import argparse
import asyncio
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from fhir_server.access import heads, keys
from fhir_server.app import alone, context
from fhir_server.commands.audit_who import who
from fhir_server.commands.files import json_object
from fhir_server.context import instant
from fhir_server.operations import audit_seals
from fhir_server.settings import Settings
from fhir_server.store import audit as store
from fhir_server.store import chain
from fhir_server.store.audit import Access
from fhir_server.store.chain import Head, Read
from fhir_server.store.database import open_database, revisions
from fhir_server.store.search.keys import bounds
from r4.issue import FhirError
from r4.json import Resource, decode, pretty


def add_arguments(add: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Add the command and its actions."""
    trail = add("audit", "List who did what to which resource; check that nobody changed that.")
    trail.add_argument("--resource", help="as Patient/123")
    trail.add_argument("--principal", help="who did it")
    trail.add_argument("--since", help="a date or an instant")
    trail.set_defaults(
        run=lambda given: audit(Settings(), given.resource, given.principal, given.since)
    )
    actions = trail.add_subparsers(metavar="action")
    sealed = actions.add_parser(
        "head", help="seal the audit and print its head, to be kept elsewhere"
    )
    sealed.set_defaults(run=lambda _: head(Settings()))
    looked = actions.add_parser("who", help="who looked at a child, when, for whom, what and why")
    looked.add_argument("child", nargs="?", default="", help="as Patient/123")
    looked.add_argument(
        "--nhs-number-from-stdin", action="store_true", help="read the child's NHS number instead"
    )
    looked.add_argument("--csv", action="store_true", help="as CSV")
    looked.set_defaults(
        run=lambda given: who(
            Settings(), given.child, is_csv=given.csv, is_number=given.nhs_number_from_stdin
        )
    )
    checked = actions.add_parser("verify", help="check that no row was changed; changes nothing")
    checked.add_argument(
        "--head", type=Path, action="append", default=[], help="a head that was kept elsewhere"
    )
    checked.add_argument("--keys", type=Path, help="the JWKS of who sealed it; by default our own")
    checked.set_defaults(run=lambda given: verify(Settings(), given.head, given.keys))


def audit(
    settings: Settings, resource: str | None, principal: str | None, since: str | None
) -> None:
    """Print one line for each access: moment, principal, interaction, resource, status; no content.

    Raises ValueError for a resource that is not `type/id`, or a date that is none.
    """
    kind, mark, key = (resource or "").partition("/")
    if resource is not None and not (kind and mark and key):
        raise ValueError(f"{resource} is not a resource: write it as Patient/123")
    named = (kind, key) if resource else None
    moment = bounds(since)[0] if since else None
    made = context(settings)
    try:
        many = 0
        for each in store.accesses(made.database, named, principal, moment):
            print(_line(each))
            many += 1
        print(f"{many} accesses")
    finally:
        made.database.close()


def head(settings: Settings) -> int:
    """Seal the audit's chain and print its head, as JSON; exit status 1 where nothing is recorded yet."""
    found = asyncio.run(alone(settings, audit_seals.seal))
    if found is None:
        print("Nothing is recorded yet.")
        return 1
    print(pretty(found).decode())
    return 0


def verify(settings: Settings, files: Sequence[Path], jwks: Path | None) -> int:
    """Print what is wrong with the audit, and a summary; exit status 1 where something is.

    The database is opened as it is, and nothing is asked of any server: a copy can be verified
    elsewhere, with the public keys. Raises OSError or ValueError for a file that cannot be read, and
    ValueError for a database of another schema.
    """
    current, newest = revisions(settings.database)
    if current != newest:
        raise ValueError(f"the schema is {current or 'not there'}, not {newest}: run migrate first")
    known = json_object(jwks) if jwks is not None else keys.own(settings)
    kept = [(str(file), json_object(file)) for file in files]
    database = open_database(settings.database, upgraded=False)
    try:
        with database.snapshot() as read:
            listed = read("SELECT last, head FROM audit_seal ORDER BY last")
            kept += [(f"the seal at row {last}", decode(told.encode())) for last, told in listed]
            return _verified(read, kept, known)
    finally:
        database.close()


def _verified(read: Read, kept: Sequence[tuple[str, Resource]], jwks: Resource) -> int:
    """Print what is wrong with the rows, and with the heads that were kept; return the exit status."""
    stood: dict[int, bytes] = {}
    many = rows = 0
    for step in chain.verify(read):
        stood[step.head.last] = step.head.hash
        rows += step.rows
        for problem in step.problems:
            print(problem)
            many += 1
    for problem in _missed(kept, jwks, stood):
        print(problem)
        many += 1
    print(f"{many} problems; {rows} rows in {len(stood)} links, {len(kept)} heads")
    return int(many > 0)


def _missed(
    kept: Sequence[tuple[str, Resource]], jwks: Resource, stood: dict[int, bytes]
) -> Iterator[str]:
    for name, told in kept:
        try:
            found: Head = heads.checked(told, jwks)
        except FhirError as refusal:
            yield f"{name}: {'; '.join(issue.diagnostics for issue in refusal.issues)}"
            continue
        if stood.get(found.last) != found.hash:
            yield f"{name}: the audit does not have the {found.last} rows that it had then, as they were"


def _line(access: Access) -> str:
    moment = instant(datetime.fromtimestamp(access.moment / 1_000_000, UTC))
    place = "/".join(each for each in (access.type, access.key) if each) or "-"
    version = f"/_history/{access.version}" if access.version else ""
    status = "stored" if access.version else str(access.status or "-")
    return f"{moment}\t{access.principal}\t{access.interaction}\t{place}{version}\t{status}"
