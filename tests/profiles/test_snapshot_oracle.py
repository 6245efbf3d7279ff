"""The snapshots that the standard publishes, made again from their differentials."""

import tarfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from profiles.snapshot import snapshot
from r4 import artefacts, definitions
from r4.definitions.build import DOWNLOADS, PACKAGE, VERSION
from r4.definitions.catalogue import Catalogue
from r4.issue import FhirError
from r4.json import Resource, decode
from r4.xml import decode as decode_xml

DIFFERENCES = tomllib.loads((Path(__file__).parent / "snapshot-differences.toml").read_text())
MISNAMED = {"UKCore-Specimen": {"Specimen.collection.extension:CollectorR5"}}
"""Ids of UK Core that are not those of their slices: this one's sliceName is `collectorR5`."""
COMPARED = ("min", "max", "contentReference")


def published() -> Iterator[Resource]:
    """Yield the constraining StructureDefinitions of the standard's package, prose included."""
    package = Path(__file__).parents[2] / DOWNLOADS / f"{PACKAGE}-{VERSION}.tgz"
    if not package.exists():
        pytest.skip(f"{package.name} is not here: `python -m r4.definitions.build` fetches it")
    with tarfile.open(package) as archive:
        for member in archive:
            name = member.name.rpartition("/")[2]
            if name.startswith("StructureDefinition-") and name.endswith(".json"):
                structure = decode(archive.extractfile(member).read())
                if structure.get("derivation") == "constraint" and "snapshot" in structure:
                    yield structure


def compared(element: Resource) -> dict[str, Any]:
    """Return what of an element the two snapshots must agree on."""
    said = {name: element.get(name) for name in COMPARED}
    said["path"] = element["path"]
    said["types"] = [
        (each.get("code"), tuple(each.get("profile", ())), tuple(each.get("targetProfile", ())))
        for each in element.get("type", ())
    ]
    said["values"] = {k: v for k, v in element.items() if k.startswith(("fixed", "pattern"))}
    binding = element.get("binding", {})
    said["binding"] = (binding.get("strength"), binding.get("valueSet"))
    slicing = element.get("slicing", {})
    said["slicing"] = (
        [(d["type"], d["path"]) for d in slicing.get("discriminator", ())],
        slicing.get("rules"),
        slicing.get("ordered", False),
    )
    said["constraints"] = sorted({each["key"] for each in element.get("constraint", ())})
    return said


def differences(theirs: Resource, ours: Resource) -> set[str]:
    """Return `id: what` for everything on which two snapshots disagree."""
    here = {element["id"]: element for element in ours["snapshot"]["element"]}
    there = {element["id"]: element for element in theirs["snapshot"]["element"]}
    found = {f"{id}: missing" for id in there.keys() - here.keys()}
    found |= {f"{id}: added" for id in here.keys() - there.keys()}
    for id in here.keys() & there.keys():
        one, other = compared(there[id]), compared(here[id])
        found |= {f"{id}: {name}" for name in one if one[name] != other[name]}
    return found


def test_what_the_standard_publishes_is_generated_again():
    found: dict[str, set[str]] = {}
    count = 0
    for structure in published():
        count += 1
        try:
            made = snapshot(structure, definitions.structure)
        except FhirError as refusal:
            found[structure["id"]] = {f"refused: {issue.expression}" for issue in refusal.issues}
            continue
        if differing := differences(structure, made):
            found[structure["id"]] = differing
    assert count > 400
    listed = {name: set(reasons) for name, reasons in DIFFERENCES.items()}
    assert found == listed


@pytest.fixture(scope="module")
def uk_core(library) -> Catalogue:
    """UK Core's StructureDefinitions: differentials alone, some on others of them."""
    files = sorted((library / "ukcore" / "structuredefinitions").glob("*.xml"))
    return Catalogue.of(decode_xml(file.read_bytes()) for file in files)


def generated(catalogue: Catalogue) -> dict[str, Resource]:
    """Return a snapshot of everything that a catalogue holds of its own, by id."""
    return {
        structure["id"]: snapshot(structure, lambda url: catalogue.find("StructureDefinition", url))
        for held in catalogue.own.values()
        for structure in held
    }


def test_every_structure_of_uk_core_gets_a_snapshot(uk_core):
    made = generated(uk_core)
    assert len(made) == 153
    for name, structure in made.items():
        ids = [element["id"] for element in structure["snapshot"]["element"]]
        assert len(set(ids)) == len(ids)
        unplaced = {e["id"] for e in structure["differential"]["element"]} - set(ids)
        assert unplaced == MISNAMED.get(name, set())


def test_a_base_with_its_snapshot_and_one_without_make_the_same(uk_core):
    made = generated(uk_core)
    assert generated(Catalogue.of(made.values())) == made


def test_uk_cores_patient_is_what_its_authors_say(uk_core):
    patient = generated(uk_core)["UKCore-Patient"]["snapshot"]["element"]
    by_id = {element["id"]: element for element in patient}
    number = "Patient.identifier:nhsNumber"
    assert by_id[f"{number}.system"]["fixedUri"] == "https://fhir.nhs.uk/Id/nhs-number"
    assert by_id[f"{number}.value"]["min"] == 1
    status = by_id[f"{number}.extension:nhsNumberVerificationStatus"]
    assert status["path"] == "Patient.identifier.extension"
    assert (status["min"], status["max"]) == (0, "1")
    for sliced in (f"{number}.extension", "Patient.extension", "Patient.telecom.system.extension"):
        assert by_id[sliced]["slicing"]["discriminator"] == [{"type": "value", "path": "url"}]
    assert "Patient.telecom.system.extension:otherContactSystem" in by_id
    level = "Patient.communication.extension:proficiency.extension:level"
    assert by_id[f"{level}.url"]["fixedUri"] == "level"
    assert [t["code"] for t in by_id[f"{level}.value[x]"]["type"]] == ["Coding"]


def test_our_own_structures_get_a_snapshot():
    ours = [r for r in artefacts.load("profiles") if r["resourceType"] == "StructureDefinition"]
    made = generated(Catalogue.of(ours))
    assert len(made) == len(ours) >= 17
    for structure in made.values():
        ids = [element["id"] for element in structure["snapshot"]["element"]]
        assert len(set(ids)) == len(ids)
        assert {element["id"] for element in structure["differential"]["element"]} <= set(ids)
