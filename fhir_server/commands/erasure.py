"""`erasure`: a family's request that a child be erased: record it, decide it, carry it out."""

import argparse
import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from fhir_server.app import alone
from fhir_server.context import Context
from fhir_server.operations import erasure as operation
from fhir_server.operations import purge
from fhir_server.settings import Settings

T = TypeVar("T")


def add_arguments(add: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Add the command and its actions."""
    actions = add("erasure", "Record, decide and carry out a request that a child be erased.")
    listed = actions.add_subparsers(required=True, metavar="action")
    asked = listed.add_parser("request", help="record that a family asks for it")
    asked.add_argument("patient", help="the id of the Patient")
    asked.add_argument("--told-by", required=True, help="who asks, for people")
    asked.set_defaults(run=lambda given: request(given.patient, given.told_by))
    for name, accept in (("accept", True), ("refuse", False)):
        decided = listed.add_parser(name, help=f"{name} a request")
        decided.add_argument("task", help="the id of the Task")
        decided.add_argument("--why", required=True, help="by whom and why it was decided so")
        decided.set_defaults(
            run=lambda given, accept=accept: decide(given.task, given.why, accept=accept)
        )
    done = listed.add_parser("carry-out", help="erase the child of a request that was accepted")
    done.add_argument("task", help="the id of the Task")
    done.set_defaults(run=lambda given: carry_out(given.task))
    lifted = listed.add_parser("lift", help="let a child who was erased come back")
    lifted.add_argument("number", type=int, help="the number of the erasure, as a refusal says it")
    lifted.set_defaults(run=lambda given: lift(given.number))
    listed.add_parser("list", help="list the requests").set_defaults(run=lambda _: list_())


def request(patient: str, told_by: str) -> None:
    """Record a request; raises FhirError as the operation does."""
    task = _done(lambda made: operation.request(made, patient, told_by))
    print(f"Task/{task} asks for the erasure of Patient/{patient}")


def decide(task: str, why: str, *, accept: bool) -> None:
    """Record a decision; raises FhirError as the operation does."""
    _done(lambda made: operation.decide(made, task, accept=accept, why=why))
    print(f"Task/{task} is {'accepted' if accept else 'rejected'}")


def carry_out(task: str) -> None:
    """Erase the child and say what that came to; raises FhirError as the operation does."""
    print(purge.said(_done(lambda made: operation.carry_out(made, task))))


def lift(number: int) -> int:
    """Let a child come back; returns exit status 1 where there is no such erasure."""
    many = _done(lambda made: operation.lift(made, number))
    print(f"{many} identifiers may come back")
    return int(not many)


def list_() -> None:
    """Print a line for each request that is not carried out: the Task, its status, the child, when."""

    async def work(made: Context) -> list[str]:
        found = [
            f"Task/{each['id']}\t{each['status']}\t{each['for']['reference']}\t{each['authoredOn']}"
            for each in operation.requests(made)
        ]
        await made.audit.flush()
        return found

    listed = _done(work)
    for line in listed:
        print(line)
    print(f"{len(listed)} requests")


def _done(work: Callable[[Context], Coroutine[Any, Any, T]]) -> T:
    return asyncio.run(alone(Settings(), work))
