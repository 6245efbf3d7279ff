"""Choosing a child on one of the server's own pages, among those whom the person sees."""

from collections.abc import Sequence
from html import escape

from fhir_server.access.sessions import Session
from fhir_server.context import Context, agent_of
from fhir_server.interactions.read import read
from fhir_server.interactions.search import search
from fhir_server.operations import launched
from fhir_server.store.search.keys import place
from r4.json import Resource, decode

_MOST = 20
"""Most children that are listed to choose from."""
_LONGEST = 100
"""Most characters of a name that is looked for, or of an id."""


async def named(made: Context, session: Session, text: str) -> list[Resource]:
    """Return the children whom a person sees by a name or a number, few of them."""
    plain = text[:_LONGEST].strip()
    if not plain:
        return []
    number = plain.replace(" ", "")
    by = ("identifier", number) if number.isdecimal() else ("name", plain.replace(",", " "))
    context = made.asked_by(session.principal)

    async def found() -> bytes:
        return search(context, "Patient", [by, ("_count", str(_MOST))])

    listed = decode(await context.database.driven(found())).get("entry", ())
    shown = [each["resource"] for each in listed if each["search"]["mode"] == "match"]
    ids = {place("Patient", each["id"]) for each in shown}
    made.audit.record(context.agent, "search-type", "Patient", None, 200, children=ids)
    return shown


async def seen(made: Context, session: Session, child: str) -> Resource:
    """Return a child whom a person sees; raises FhirError 404 for any other."""
    context = made.asked_by(session.principal)

    async def reading() -> bytes:
        return read(context, "Patient", child[:_LONGEST]).body

    found: Resource = decode(await context.database.driven(reading()))
    return found


def told(made: Context, session: Session, child: str) -> None:
    """Record that a page shows a person a child, by its id."""
    agent, children = agent_of(session.principal), {place("Patient", child)}
    made.audit.record(agent, "read", "Patient", child, 200, children=children)


def looking(action: str, hidden: str = "") -> str:
    """Return the form by which a child is looked for at a page, in HTML."""
    return (
        f'<form method="get" action="{action}">{hidden}'
        '<label for="find">Find the child, by name or number</label>'
        '<input id="find" name="find" required> <button type="submit">Find</button></form>'
    )


def choices(found: Sequence[Resource]) -> str:
    """Return a radio button for each child, in HTML; nothing where there is none."""
    listed = "".join(
        f'<label><input type="radio" name="patient" value="{escape(each["id"])}" required> '
        f"{escape(_in_words(each))}</label>"
        for each in found
    )
    return f"<fieldset><legend>Which child?</legend>{listed}</fieldset>" if listed else ""


def chosen(child: Resource) -> str:
    """Return a child that is chosen already, in HTML."""
    return (
        f"<p>The child is <strong>{escape(_in_words(child))}</strong>.</p>"
        f'<input type="hidden" name="patient" value="{escape(child["id"])}">'
    )


def _in_words(child: Resource) -> str:
    """Say which child it is: name, date of birth, and the numbers that tell it from others."""
    numbers = [str(each["value"]) for each in child.get("identifier", ()) if "value" in each]
    told = [launched.name(child) or "(no name)", child.get("birthDate", ""), *numbers]
    return ", ".join(each for each in told if each)
