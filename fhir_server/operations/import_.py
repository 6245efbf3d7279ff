"""`$import`, asked for: NDJSON in the request, or files below the operator's import folder.

https://github.com/smart-on-fhir/bulk-import/blob/master/import-manifest.md
"""

from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from fhir_server.context import Context, instant
from fhir_server.operations import asynchronous
from fhir_server.operations.asynchronous import NDJSON
from r4 import definitions
from r4.issue import FhirError, error
from r4.json import Resource

INPUT = "input.ndjson"
_FIRST = (
    "Organization", "Location", "Practitioner", "PractitionerRole", "Patient", "RelatedPerson",
    "Device", "EpisodeOfCare", "Encounter", "Condition", "Procedure", "Observation",
)  # fmt: skip
"""Types that others refer to, which are read before these: fewer lines have to wait."""


async def import_inline(context: Context, raw: bytes, url: str) -> str:
    """Accept the NDJSON of a request's body, and return the job's id; raises FhirError 400 if empty."""
    if not raw.strip():
        raise FhirError(400, [error("required", "The body has no resource.", "http.body")])
    job_id = context.new_id()
    name = asynchronous.make_folder(context, job_id) / INPUT
    with asynchronous.open_file(name) as file:
        file.write(raw)
        await asynchronous.make_durable(file)
    inputs = [{"type": None, "url": INPUT, "file": str(name.resolve())}]
    return await asynchronous.accept(context, "import", _request(context, inputs, url), job_id)


async def import_files(context: Context, body: Resource, url: str) -> str:
    """Accept the files that Parameters name, and return the job's id; raises FhirError 400, 403."""
    listed = body.get("parameter")
    if body["resourceType"] != "Parameters" or not isinstance(listed, list):
        raise FhirError(400, [error("structure", "Send a Parameters resource.", "Parameters")])
    inputs = []
    for parameter in listed:
        name = parameter.get("name") if isinstance(parameter, dict) else None
        if name == "input":
            inputs.append(_input(context, parameter))
        elif name == "inputFormat":
            if _value(parameter) not in NDJSON:
                raise _bad("inputFormat", f"The inputFormat is {NDJSON[0]}.")
        elif name != "inputSource":
            raise _bad(str(name), f"$import has no parameter {name!r} here.")
    if not inputs:
        raise _bad("input", "Name at least one input.")
    inputs.sort(key=lambda each: _rank(each["type"]))
    return await asynchronous.accept(context, "import", _request(context, inputs, url))


def _request(context: Context, inputs: list[dict[str, Any]], url: str) -> Resource:
    return {"inputs": inputs, "url": url, "transactionTime": instant(context.now())}


def _rank(kind: str | None) -> int:
    return _FIRST.index(kind) if kind in _FIRST else len(_FIRST)


def _input(context: Context, parameter: Resource) -> dict[str, Any]:
    """Read one input; raises FhirError 400 for what is no file of a type, 403 for one elsewhere."""
    parts = {
        part.get("name"): _value(part)
        for part in parameter.get("part", ())
        if isinstance(part, dict)
    }
    kind, url = parts.get("type"), parts.get("url")
    if kind not in definitions.resource_types():
        raise _bad("input", "Each input has a type, which is a resource type of FHIR R4.")
    return {"type": kind, "url": url, "file": str(_file(context, url))}


def _file(context: Context, url: str | None) -> Path:
    parts = urlsplit(url or "")
    if parts.scheme != "file" or parts.netloc not in ("", "localhost"):
        raise _bad("input", "The url of an input is a file:// URL of the server's machine.")
    folder = context.settings.import_folder
    file = Path(unquote(parts.path)).resolve()
    if folder is None or not file.is_relative_to(folder.resolve()):
        text = "This file is not below the folder that the operator has set for imports."
        raise FhirError(403, [error("forbidden", text, "Parameters.parameter('input')")])
    if not file.is_file():
        raise _bad("input", f"There is no file {file.name} in the import folder.")
    return file


def _value(parameter: Resource) -> str | None:
    found = next((value for key, value in parameter.items() if key.startswith("value")), None)
    return found if isinstance(found, str) else None


def _bad(name: str, text: str) -> FhirError:
    return FhirError(400, [error("invalid", text, f"Parameters.parameter('{name}')")])
