"""`$export` for an analyst: files of resources in pseudonyms, each in the order of its tokens.

The order of storing would tell which child was before which, and so bound the true dates.
https://hl7.org/fhir/uv/bulkdata/STU2/export.html
"""

import asyncio
from collections.abc import Sequence
from typing import BinaryIO

from fhir_server.access.analyst import READABLE
from fhir_server.access.pseudonym_view import AnalystView
from fhir_server.context import Context
from fhir_server.operations.asynchronous import NDJSON, PSEUDONYMS
from fhir_server.operations.export import types_of
from fhir_server.store import bulk
from fhir_server.store import read as store
from fhir_server.store.search.query import Query
from r4.issue import FhirError, error
from r4.json import Resource, encode

_STRIDE, _PAGE = 5000, 200
_READ = ("_type", "_outputFormat", "_format", "_pretty")


def asked_of(level: str, pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the parameters of an export: the types that are shown; raises FhirError 400 or 403.

    level: "Patient", or "" for the whole system.
    """
    served = [kind for kind in types_of(level) if kind in READABLE]
    wanted: list[str] = []
    for name, value in pairs:
        if name not in _READ:
            text = f"An analyst's export has no {name}: it has _type."
            raise FhirError(403, [error("forbidden", text, "http.url")])
        if name == "_type":
            wanted += [kind for kind in value.split(",") if kind]
        if name == "_outputFormat" and value.replace(" ", "+") not in NDJSON:
            text = f"Exports are {NDJSON[0]}."
            raise FhirError(400, [error("not-supported", text, "http._outputFormat")])
    if any(kind not in served for kind in wanted):
        text = f"An analyst's export is of these types: {', '.join(served)}."
        raise FhirError(403, [error("forbidden", text, "http._type")])
    return [("_type", ",".join(wanted or served))]


async def write_type(context: Context, kind: str, request: Resource, file: BinaryIO) -> int:
    """Write what is shown of a type in the snapshot of an export's request; returns how many.

    Raises FhirError 409 where the pseudonyms are others than when it was asked for.
    """
    view, snapshot = AnalystView(context), request["snapshot"]
    if view.pseudonyms.version != request[PSEUDONYMS]:
        text = "The pseudonyms have changed since this was asked for: ask for another export."
        raise FhirError(409, [error("conflict", text)])
    found: list[tuple[str, int]] = []
    asked = Query(kind, types=(kind,), snapshot=snapshot)
    first, last = bulk.extent(context.database, kind, snapshot)
    for after in range(first - 1, last, _STRIDE):
        places = bulk.stretch(context.database, asked, after, _STRIDE)
        found += [(view.pseudonyms.token(kind, place), rid) for rid, place in places]
        await asyncio.sleep(0)
    found.sort()
    written = 0
    for at in range(0, len(found), _PAGE):
        rids = [rid for _, rid in found[at : at + _PAGE]]
        for stored in store.by_rid(context.database, rids):
            if shown := view.shown(stored):
                file.write(encode(shown.resource) + b"\n")
                written += 1
        await asyncio.sleep(0)
    return written
