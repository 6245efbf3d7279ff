"""Bulk Data over HTTP: kick-off, status, files, cancellation.

https://hl7.org/fhir/uv/bulkdata/STU2/export.html
"""

from email.utils import format_datetime
from urllib.parse import urlencode

from fhir_server.context import Context
from fhir_server.operations import asynchronous
from fhir_server.operations.export import Scope
from fhir_server.operations.export import export as export_operation
from fhir_server.operations.import_ import import_files, import_inline
from fhir_server.rest.answers import Answer, Asked
from r4.issue import FhirError, error
from r4.json import Resource, encode

_RETRY = "1"


async def export(context: Context, asked: Asked) -> Answer:
    """GET or POST $export: everything."""
    return await _export(context, asked, Scope(), "$export")


async def export_patients(context: Context, asked: Asked) -> Answer:
    """GET or POST Patient/$export: what is about any patient."""
    return await _export(context, asked, Scope("Patient"), "Patient/$export")


async def export_group(context: Context, asked: Asked) -> Answer:
    """GET or POST Group/[id]/$export: what is about the members of a Group."""
    scope = Scope("Group", asked.parameters["id"])
    return await _export(context, asked, scope, f"Group/{scope.group}/$export")


async def _export(context: Context, asked: Asked, scope: Scope, path: str) -> Answer:
    preferences = _preferences(asked)
    given = list(asked.pairs)
    url = f"{context.base_url}/{path}" + (f"?{urlencode(given)}" if given else "")
    if asked.method == "POST" and asked.raw:
        given += _values(asked.resource())
    lenient = preferences.get("handling") == "lenient"
    return accepted(context, await export_operation(context, scope, given, url, lenient=lenient))


async def export_of(
    context: Context, asked: Asked, level: str, given: list[tuple[str, str]]
) -> Answer:
    """Answer a GET $export of a level ("" or "Patient") with parameters that were made of the request's."""
    _preferences(asked)
    path = f"{level}/$export".removeprefix("/")
    url = f"{context.base_url}/{path}" + (f"?{urlencode(asked.pairs)}" if asked.query else "")
    return accepted(context, await export_operation(context, Scope(level), given, url))


async def import_(context: Context, asked: Asked) -> Answer:
    """POST $import, with NDJSON in the body or Parameters that name files."""
    _preferences(asked)
    kind = (asked.header("content-type") or "").partition(";")[0].strip().lower()
    url = f"{context.base_url}/$import"
    if kind in asynchronous.NDJSON:
        return accepted(context, await import_inline(context, asked.raw, url))
    return accepted(context, await import_files(context, asked.resource(), url))


async def status(context: Context, asked: Asked) -> Answer:
    """GET $bulk/[job]: 202 while it is worked on, 200 with the manifest, or what it failed with."""
    found = asynchronous.standing(context, asked.parameters["job"])
    if found.manifest is None:
        return Answer(b"", 202, {"X-Progress": found.progress, "Retry-After": _RETRY})
    headers = {"Expires": format_datetime(found.expires, usegmt=True)} if found.expires else {}
    return Answer(encode(found.manifest), 200, headers, media_type="application/json")


async def output(context: Context, asked: Asked) -> Answer:
    """GET $bulk/[job]/[file]."""
    file = asynchronous.output(context, asked.parameters["job"], asked.parameters["file"])
    return Answer(b"", media_type=asynchronous.FHIR_NDJSON, file=file)


async def cancel(context: Context, asked: Asked) -> Answer:
    """DELETE $bulk/[job]: cancel it, or remove its files."""
    await asynchronous.cancel(context, asked.parameters["job"])
    return Answer(b"", 202)


def accepted(context: Context, job_id: str) -> Answer:
    """Answer that a job is accepted, and where it can be asked about."""
    return Answer(b"", 202, {"Content-Location": asynchronous.url(context, job_id)})


def prefers_later(asked: Asked) -> bool:
    """Tell whether the Prefer header wants the request to be answered later."""
    return "respond-async" in _said(asked)


def _said(asked: Asked) -> dict[str, str]:
    found = {}
    for part in (asked.header("prefer") or "").replace(";", ",").split(","):
        key, _, value = part.partition("=")
        found[key.strip().lower()] = value.strip().strip('"')
    return found


def _preferences(asked: Asked) -> dict[str, str]:
    """Return what the Prefer header says; raises FhirError 400 unless it wants to be answered later."""
    found = _said(asked)
    if "respond-async" not in found:
        text = "This operation is asynchronous: send `Prefer: respond-async`."
        raise FhirError(400, [error("required", text, "http.Prefer")])
    return found


def _values(body: Resource) -> list[tuple[str, str]]:
    """Return the parameters of a Parameters resource as pairs; raises FhirError 400 for another body."""
    listed = body.get("parameter", [])
    if body["resourceType"] != "Parameters" or not isinstance(listed, list):
        raise FhirError(400, [error("structure", "Send a Parameters resource.", "Parameters")])
    return [_pair(each) for each in listed]


def _pair(parameter: object) -> tuple[str, str]:
    given = parameter if isinstance(parameter, dict) else {}
    name = given.get("name")
    value = next((each for key, each in given.items() if key.startswith("value")), None)
    if isinstance(value, dict):
        value = value.get("reference")
    if isinstance(value, bool):
        value = "true" if value else "false"
    if not isinstance(name, str) or not isinstance(value, str):
        text = "Each parameter has a name and a string, an instant or a Reference."
        raise FhirError(400, [error("structure", text, "Parameters.parameter")])
    return name, value
