"""`objection`: record that somebody objects to a use of a child's data, end that, list who does."""

import argparse
import asyncio
from collections.abc import Callable

from fhir_server.app import alone
from fhir_server.context import Context
from fhir_server.operations import objections_recorded as operation
from fhir_server.operations.survey_standing import streams_of
from fhir_server.settings import Settings
from fhir_server.store.objections import STREAMS
from r4.json import Resource


def add_arguments(add: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Add the command and its actions."""
    actions = add("objection", "Record, end or list objections to uses of a child's data.")
    listed = actions.add_subparsers(required=True, metavar="action")
    recorded = listed.add_parser("record", help="record an objection, effective at once")
    recorded.add_argument("patient", help="the id of the Patient")
    recorded.add_argument("stream", choices=STREAMS, help="what is objected to")
    recorded.add_argument("--told-by", default="Told to the registry", help="who, for people")
    recorded.set_defaults(
        run=lambda given: record(Settings(), given.patient, given.stream, given.told_by)
    )
    ended = listed.add_parser("withdraw", help="end an objection, as whoever objected has asked")
    ended.add_argument("consent", help="the id of the Consent")
    ended.set_defaults(run=lambda given: withdraw(Settings(), given.consent))
    shown = listed.add_parser("list", help="list the objections in force")
    shown.add_argument("patient", nargs="?", help="the id of a Patient; by default of all")
    shown.set_defaults(run=lambda given: list_(Settings(), given.patient))


def record(settings: Settings, patient: str, stream: str, told_by: str) -> None:
    """Record an objection; raises FhirError as the operation does."""

    async def work(made: Context) -> str:
        return await operation.record(made, patient, stream, told_by)

    print(f"Consent/{asyncio.run(alone(settings, work))} denies {stream} of Patient/{patient}")


def withdraw(settings: Settings, consent: str) -> None:
    """End an objection; raises FhirError as the operation does."""

    async def work(made: Context) -> None:
        await operation.withdraw(made, consent)

    asyncio.run(alone(settings, work))
    print(f"Consent/{consent} is in force no longer")


def list_(settings: Settings, patient: str | None) -> None:
    """Print a line for each objection: the Consent, the Patient, the streams, when it was told."""

    async def work(made: Context) -> list[str]:
        found = [_line(each) for each in operation.objections(made, patient)]
        await made.audit.flush()
        return found

    listed = asyncio.run(alone(settings, work))
    for line in listed:
        print(line)
    print(f"{len(listed)} objections")


def _line(consent: Resource) -> str:
    about, streams = consent["patient"].get("reference", "-"), ",".join(sorted(streams_of(consent)))
    return f"Consent/{consent['id']}\t{about}\t{streams}\t{consent.get('dateTime', '-')}"
