"""`surveys`: make the surveys that are due, send invitations and reminders, list whom to contact.

The first two are to be run every day, as by cron; run twice, they do nothing twice.
"""

import argparse
import asyncio
import csv
import os
from collections.abc import Callable
from pathlib import Path

from fhir_server.app import alone
from fhir_server.context import Context
from fhir_server.operations.contact_list import Contact, contacts
from fhir_server.operations.couriers import courier
from fhir_server.operations.invitations import Sent, send_all
from fhir_server.operations.survey_schedule import Scheduled, plan_of, schedule_all
from fhir_server.settings import Settings


def add_arguments(add: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Add the command and its actions."""
    actions = add("surveys", "Make the surveys that are due, or send what is due of them.")
    listed = actions.add_subparsers(required=True, metavar="action")
    listed.add_parser(
        "schedule", help="make the surveys that are due, and cancel those that may not go on"
    ).set_defaults(run=lambda _: schedule(Settings()))
    listing = listed.add_parser(
        "contact-list", help="write the children whose parents NHS DigiTrials is to contact, as CSV"
    )
    listing.add_argument("file", type=Path, help="is made, for its owner alone; may not be there")
    listing.set_defaults(run=lambda given: contact_list(Settings(), given.file))
    listed.add_parser("send", help="send the invitations and reminders that are due").set_defaults(
        run=lambda _: send(Settings())
    )


def schedule(settings: Settings) -> None:
    """Make and cancel surveys, and print how many; raises ValueError for a plan that is none."""

    async def work(made: Context) -> Scheduled:
        return await schedule_all(made, plan_of(made, settings.surveys))

    done = asyncio.run(alone(settings, work))
    print(f"{done.made} surveys made, {done.cancelled} cancelled")
    if done.without_contact:
        print(
            f"{done.without_contact} are due of children for whom not exactly one parent has agreed"
        )


def contact_list(settings: Settings, file: Path) -> None:
    """Write the contact list; raises FileExistsError rather than write over another one."""

    async def work(made: Context) -> list[Contact]:
        return [each async for each in contacts(made)]

    listed = asyncio.run(alone(settings, work))
    descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(Contact._fields)
        rows.writerows(listed)
    print(f"{len(listed)} children; the columns are to be agreed with NHS DigiTrials")


def send(settings: Settings) -> int:
    """Send messages and print how many; returns 1 where some could not be sent."""
    by = courier(settings)
    if by is None:
        raise ValueError("nothing is sent: CSOR_SURVEY_SENDER is off")

    async def work(made: Context) -> Sent:
        return await send_all(made, plan_of(made, settings.surveys), by)

    done = asyncio.run(alone(settings, work))
    print(f"{done.sent} messages sent, {done.failed} not sent and tried again next time")
    if done.without_address:
        print(f"{done.without_address} parents have no address that can be written to")
    if done.passed_over:
        print(
            f"{done.passed_over} Tasks do not say their number, who is asked, or the form: passed over"
        )
    return 1 if done.failed else 0
