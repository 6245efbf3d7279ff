"""Loads of deaths in tests: a layout that no extract has, children, and what a load came to."""

from pathlib import Path
from typing import Any

from fhir_server.context import Context
from fhir_server.interactions.update import update
from fhir_server.operations import asynchronous, deaths_load
from fhir_server.store import read as store
from mappings.hes.bundle import PERSON
from r4.json import decode
from tests.support.bulk import patient

NHS = "https://fhir.nhs.uk/Id/nhs-number"
LAYOUT = """
# A fictitious layout: no extract is like this.
delimiter = "|"
date = "YYYYMMDD"
[death]
record = "fiction_record"
died = "fiction_died"
nhs_number = "fiction_number"
birth = "fiction_born"
[bridge]
record = "fiction_record"
person = "fiction_person"
"""
HEADING = "fiction_record|fiction_died|fiction_number|fiction_born"
BRIDGE = "fiction_record|fiction_person"


async def child(made: Context, key: str, number: str = "", *, hes: str = "", **said: Any) -> None:
    listed = [{"system": NHS, "value": number}] if number else []
    listed += [{"system": PERSON, "value": hes}] if hes else []
    await update(made, patient(key, identifier=listed, **said), key)


def stored(made: Context, key: str) -> dict[str, Any]:
    found = store.current(made.database, "Patient", key)
    assert found is not None
    return decode(found.body)


def provenances(made: Context) -> list[dict[str, Any]]:
    found = store.every(made.database, "Provenance")
    return [decode(each.body) for each in found]


async def loaded(
    made: Context, file: Path, bridge: Path | None = None, layout: str = LAYOUT
) -> tuple[dict[str, Any], list[str]]:
    """Return the report, and what the file of OperationOutcomes says."""
    job = await deaths_load.accept(made, file, bridge, layout)
    assert [each async for each in deaths_load.load(made, job)]
    folder = asynchronous.folder(made, job.id)
    assert sorted(each.name for each in folder.iterdir()) == [
        "error.OperationOutcome.ndjson",
        "lock",
    ]
    manifest = asynchronous.standing(made, job.id).manifest
    assert manifest is not None
    lines = (folder / deaths_load.ERRORS).read_bytes().splitlines()
    said = [decode(line)["issue"][0]["diagnostics"] for line in lines]
    assert sum(each["count"] for each in manifest["error"]) == len(said)
    return manifest["extension"], said
