"""What an analyst asks and is answered: tokens for ids, listed parameters, and resources in pseudonyms.

An analyst's reads and searches have answers of their own, without the headers and links by which the
others tell of versions and rows. Matches come in the order of their tokens, which tells nothing.
https://hl7.org/fhir/R4/http.html
"""

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode

from fhir_server.access import EVERYBODY_MAY
from fhir_server.access.analyst import DATED, HIDDEN, READABLE, SEARCHED, Kind
from fhir_server.access.pseudonym_view import AnalystView, Shown
from fhir_server.context import Context
from fhir_server.interactions import permitted
from fhir_server.operations.export_pseudonymised import asked_of
from fhir_server.rest import bulk, negotiate
from fhir_server.rest.answers import Answer, Asked
from fhir_server.rest.routes import Found, Interaction
from fhir_server.store import bulk as rows
from fhir_server.store import read as store
from fhir_server.store.search.parameters import parameters
from r4.issue import FhirError, error
from r4.json import encode

MOST = 10_000
"""Most matches of a search: all are put in order for each page."""
_PAGE, _LARGEST_PAGE = 50, 1000
_RESULT = ("_count", "_page", "_format", "_pretty")
_WORD = re.compile(r"[a-z][a-z-]{0,39}")
_DATES = frozenset({"date", "_lastUpdated"})

Pairs = list[tuple[str, str]]


class _Page(NamedTuple):
    """How many matches are wanted, after which token."""

    size: int
    after: str


def named(context: Context, interaction: Interaction, found: Found) -> Found:
    """Return what a read names, its token read back to the id; raises FhirError 404 where it is none."""
    if interaction.code != "read":
        return found
    kind, token = found.parameters["type"], found.parameters["id"]
    resource_id = AnalystView(context).id_of(kind, token)
    if resource_id is None:
        raise _unknown()
    return found._replace(parameters={"type": kind, "id": resource_id})


async def answer(context: Context, interaction: Interaction, asked: Asked) -> Answer:
    """Answer an analyst; raises FhirError, which names nothing but what was asked."""
    if interaction.code in EVERYBODY_MAY:
        return await interaction.answer(context, asked)
    view = AnalystView(context)
    if interaction.code == "read":
        return _read(context, view, asked)
    if interaction.code == "search-type":
        return _search(context, view, asked)
    if interaction.code == "$export":
        return await _export(context, asked)
    return await interaction.answer(context, asked)


def _read(context: Context, view: AnalystView, asked: Asked) -> Answer:
    _refuse_parameters(asked.pairs)
    stored = store.current(context.database, asked.type, asked.id)
    found = None if stored is None else view.shown(stored)
    if found is None:
        raise _unknown()
    return Answer(encode(found.resource))


def _unknown() -> FhirError:
    return FhirError(404, [error("not-found", "This token is not known here.", "http.url")])


def _refuse_parameters(pairs: Pairs) -> None:
    for name, _ in pairs:
        if name not in ("_format", "_pretty"):
            raise _bad(name, f"An analyst's read has no {name}.")


async def _export(context: Context, asked: Asked) -> Answer:
    if asked.method == "POST":
        raise _bad("method", "An analyst asks for an export with GET.")
    level = asked.parameters.get("type", "")
    return await bulk.export_of(context, asked, level, asked_of(level, asked.pairs))


def _search(context: Context, view: AnalystView, asked: Asked) -> Answer:
    kind, pairs = asked.type, asked.pairs
    if asked.method == "POST":
        pairs += parse_qsl(negotiate.form(asked.raw), keep_blank_values=True)
    page, criteria = _checked(view, kind, pairs)
    named_by = _in_ids(view, kind, criteria)
    places = [] if named_by is None else _matches(context, kind, named_by)
    order = sorted((view.pseudonyms.token(kind, place), rid) for rid, place in places)
    left = [each for each in order if each[0] > page.after]
    entries: list[Shown] = []
    while left and len(entries) < page.size:
        some, left = left[: page.size - len(entries)], left[page.size - len(entries) :]
        stored = store.by_rid(context.database, [rid for _, rid in some])
        entries += [shown for each in stored if (shown := view.shown(each)) is not None]
    return Answer(encode(_searchset(context, kind, pairs, entries, is_last=not left)))


def _searchset(
    context: Context, kind: str, pairs: Pairs, entries: list[Shown], *, is_last: bool
) -> Mapping[str, object]:
    """Return the page as a Bundle: without a total, which would count the few of a narrow search."""
    base = f"{context.base_url}/{kind}"
    links = [{"relation": "self", "url": base + (f"?{urlencode(pairs)}" if pairs else "")}]
    if entries and not is_last:
        kept = [pair for pair in pairs if pair[0] != "_page"]
        following = urlencode([*kept, ("_page", entries[-1].token)])
        links.append({"relation": "next", "url": f"{base}?{following}"})
    listed = [
        {"fullUrl": f"{base}/{each.token}", "resource": each.resource, "search": {"mode": "match"}}
        for each in entries
    ]
    entry = {"entry": listed} if listed else {}
    return {"resourceType": "Bundle", "type": "searchset", "link": links, **entry}


def _matches(context: Context, kind: str, pairs: Pairs) -> list[rows.Place]:
    """Return the rows and places that match; raises FhirError 400 where there are too many."""
    if kind == "MeasureReport":
        pairs = [*pairs, ("report-type", "summary")]
    try:
        query = permitted.asked(context, kind, pairs)
        found = rows.matching(context.database, query, MOST + 1)
    except FhirError as refusal:
        if refusal.status in (403, 503):  # of scopes, and of an index that is being made
            raise
        raise _bad("_query", "This search is not served to an analyst.") from None
    if len(found) > MOST:
        text = f"More than {MOST} match: search for less, or ask for an $export."
        raise FhirError(400, [error("too-costly", text, "http.url")])
    return found


def _checked(view: AnalystView, kind: str, pairs: Pairs) -> tuple[_Page, Pairs]:
    """Return the page and the criteria of a search; raises FhirError 400 or 403 for what is not listed."""
    count, after, criteria = _PAGE, "", []
    for name, value in pairs:
        if name == "_count":
            if not re.fullmatch(r"[1-9]\d{0,8}", value):
                raise _bad(name, "_count is a whole number from 1 on.")
            count = min(int(value), _LARGEST_PAGE)
        elif name == "_page":
            if view.pseudonyms.place(kind, value) is None:
                raise _bad(name, "_page is taken from a link of a page.")
            after = value
        elif name not in _RESULT:
            _refuse_criterion(view, kind, name, value)
            criteria.append((name, value))
    return _Page(count, after), criteria


def _refuse_criterion(view: AnalystView, kind: str, name: str, value: str) -> None:
    """Raise FhirError 403 for a parameter that is not listed, 400 for a value that is not as it is asked."""
    how = SEARCHED[kind].get(name)
    if how is None:
        raise _hidden(kind, name)
    if how in ("code", "word") and not all(_is_shown(view, how, each) for each in value.split(",")):
        form = "system|code, of a code that is shown" if how == "code" else "a word of the standard"
        raise _bad(name, f"{name} is asked as {form}.")


def _is_shown(view: AnalystView, how: Kind, value: str) -> bool:
    """Tell whether a value could be seen in a resource that is shown: nothing hidden can be probed for."""
    if how == "word":
        return bool(_WORD.fullmatch(value))
    system, bar, code = value.partition("|")
    return bool(bar) and view.knows(system, code)


def _hidden(kind: str, name: str) -> FhirError:
    plain = re.split(r"[:.]", name)[0]
    found = parameters(kind).get(plain)
    if plain in _DATES or (found is not None and found.type == "date"):
        text = DATED.format(name=plain)
    else:
        listed = ", ".join([*sorted(SEARCHED[kind]), *_RESULT])
        text = HIDDEN.format(kind=kind, name=name if found is not None else "this", known=listed)
    return FhirError(403, [error("forbidden", text, "http.url")])


def _in_ids(view: AnalystView, kind: str, criteria: Pairs) -> Pairs | None:
    """Return criteria with ids for tokens; None where one names nothing that is here."""
    found: Pairs = []
    for name, value in criteria:
        how = SEARCHED[kind][name]
        if how in ("id", "reference"):
            targets = [kind] if how == "id" else _targets(kind, name)
            ids = [each for one in value.split(",") if (each := _in_id(view, targets, one, how))]
            if not ids:
                return None
            value = ",".join(ids)  # noqa: PLW2901 - one of the pairs that are made
        found.append((name, value))
    return found


def _targets(kind: str, name: str) -> list[str]:
    return [each for each in parameters(kind)[name].targets if each in READABLE]


def _in_id(view: AnalystView, targets: list[str], value: str, how: Kind) -> str | None:
    """Return what a token, or `Type/token`, means in ids; None where it means nothing."""
    named_type, _, token = value.rpartition("/")
    for kind in targets:
        if named_type in ("", kind) and (found := view.id_of(kind, token)):
            return found if how == "id" else f"{kind}/{found}"
    return None


def _bad(name: str, text: str) -> FhirError:
    return FhirError(400, [error("not-supported", text, f"http.{name}")])
