"""Milliseconds from a finished draft to the signed note, and of its $extract alone, over HTTP.

`python -m benchmarks notes`. A server of this process on a new SQLite file; each draft is stored, then
extracted, then signed: checked, extracted, sealed and committed. The median counts, the slowest is
shown. What the seal costs is measured beside the whole, as a share of it.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from fhir_server.access.keys import Keys, signing_key
from fhir_server.app import alone, application
from fhir_server.commands.load import load_artefacts
from fhir_server.commands.local import local_client
from fhir_server.context import Context
from fhir_server.settings import Settings
from questionnaires.seal import canonical
from r4.json import Resource, decode, encode

FORM = "operative-note-hirschsprung"
EXAMPLE = Path("questionnaires/examples") / FORM / "typical.response.json"
NOTES, WARM = 60, 5
"""Notes that are signed, and how many of them do not count."""
GOAL = 150.0
"""The most milliseconds that the median of either may take."""
_JSON = {"Content-Type": "application/fhir+json"}
_NUMBERS = {
    "Patient": ("https://fhir.nhs.uk/Id/nhs-number", "9990000018"),
    "Practitioner": ("https://fhir.hl7.org.uk/Id/gmc-number", "0000000"),
    "Organization": ("https://fhir.nhs.uk/Id/ods-organization-code", "RTH"),
}


def main() -> None:
    """Print the median and the slowest of each, what a document is and its seal costs, what is missed."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(database=str(Path(folder) / "notes.db"))
        asyncio.run(alone(settings, load_artefacts))
        found, document = asyncio.run(alone(settings, _measured))
        keys = Keys(signing_key(settings))
        sealing = _spent(lambda: keys.seal(canonical(document)))
    print(f"{'milliseconds':<24}{'median':>10}{'slowest':>10}")
    missed = []
    for name, took in found.items():
        middle = statistics.median(took)
        print(f"{name:<24}{middle:10.1f}{max(took):10.1f}")
        if middle > GOAL:
            missed.append(f"{name}: {middle:.0f} ms, not {GOAL:g}")
    share = sealing / statistics.median(found["$sign"])
    print(f"a document has {len(encode(document)):,} bytes; its seal is {share:.0%} of $sign")
    print(f"missed: {'; '.join(missed) or 'nothing'}")


async def _measured(made: Context) -> tuple[dict[str, list[float]], Resource]:
    """Sign notes one after the other; returns what each step took, and the last document."""
    found: dict[str, list[float]] = {"$extract": [], "$sign": []}
    document: Resource = {}
    async with local_client(application(made)) as client:
        places = {kind: await _known(client, kind) for kind in _NUMBERS}
        for number in range(NOTES):
            draft = await _draft(client, places)
            place = f"/fhir/QuestionnaireResponse/{draft['id']}/$sign"
            took, _ = await _timed(client, "/fhir/QuestionnaireResponse/$extract", draft)
            hospital = {"name": "hospital", "valueReference": {"reference": places["Organization"]}}
            body = {"resourceType": "Parameters", "parameter": [hospital]}
            signing, said = await _timed(client, place, body)
            if number >= WARM:
                found["$extract"].append(took)
                found["$sign"].append(signing)
            document = await _document(client, said)
    return found, document


async def _known(client: httpx.AsyncClient, kind: str) -> str:
    """Make somebody known; returns the reference."""
    system, value = _NUMBERS[kind]
    name = "Fictitious" if kind == "Organization" else [{"family": "Fictitious"}]
    identifier = [{"system": system, "value": value}]
    body = {"resourceType": kind, "identifier": identifier, "name": name}
    answer = await client.post(f"/fhir/{kind}", json=body)
    return f"{kind}/{answer.raise_for_status().json()['id']}"


async def _draft(client: httpx.AsyncClient, places: dict[str, str]) -> Resource:
    draft = {
        **decode(EXAMPLE.read_bytes()),
        "subject": {"reference": places["Patient"]},
        "author": {"reference": places["Practitioner"]},
    }
    place = "/fhir/QuestionnaireResponse"
    answer = await client.post(place, content=encode(draft), headers=_JSON)
    stored: Resource = decode(answer.raise_for_status().content)
    return stored


async def _timed(client: httpx.AsyncClient, place: str, body: Resource) -> tuple[float, Resource]:
    """Ask once; returns the milliseconds until the answer, and the answer."""
    content, headers = encode(body), {**_JSON, "If-Match": 'W/"1"'}
    started = time.perf_counter()
    answer = await client.post(place, content=content, headers=headers)
    took = (time.perf_counter() - started) * 1000
    said: Resource = decode(answer.raise_for_status().content)
    return took, said


async def _document(client: httpx.AsyncClient, said: Resource) -> Resource:
    locations = (entry["response"]["location"] for entry in said["entry"])
    place = next(each for each in locations if each.startswith("Bundle/"))
    answer = await client.get(f"/fhir/{place}")
    found: Resource = decode(answer.raise_for_status().content)
    return found


def _spent(work: Callable[[], object], times: int = 20) -> float:
    """Return the median milliseconds of a call, the first of which is not counted."""
    work()
    took = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        took.append((time.perf_counter() - started) * 1000)
    return statistics.median(took)
