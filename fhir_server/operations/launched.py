"""What a launch finds in the registry: the child's draft that the surgeon has not signed yet."""

from urllib.parse import urlsplit

from fhir_server.context import Context
from fhir_server.interactions.search import search
from r4.json import decode


async def draft(context: Context, form: str | None) -> str | None:
    """Return the id of the newest draft that the session's surgeon has of its child, or None.

    form: the canonical of the form that was launched, whose drafts alone count; None for any.
    """
    asked = context.principal
    pairs = [
        ("subject", asked.patient or ""),
        ("author", asked.practitioner or ""),
        ("status", "in-progress"),
        ("_sort", "-_lastUpdated"),
        ("_count", "1"),
    ]
    if form is not None:
        pairs.append(("questionnaire", form.partition("|")[0]))
    found = decode(search(context, "QuestionnaireResponse", pairs))
    places = [urlsplit(entry["fullUrl"]).path for entry in found.get("entry", ())]
    return places[0].rpartition("/")[2] if places else None
