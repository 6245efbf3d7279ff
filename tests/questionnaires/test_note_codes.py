"""Every code of OPCS-4, ICD-10 and SNOMED CT in the operative notes was seen somewhere: none is a guess."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from questionnaires.reference import notes
from r4.artefacts import by_url
from r4.json import Resource
from terminology.systems import CSOR

OPCS_4, SNOMED_CT = "https://fhir.hl7.org.uk/CodeSystem/OPCS-4", "http://snomed.info/sct"
ICD_10 = "http://hl7.org/fhir/sid/icd-10"
ASA = {"302132005", "413495001", "413496000", "413497009", "413498004", "413499007"}
TO_BE_REVIEWED = {
    "85419002": "orchidopexy: seen in one published source",
    "81996005": "torsion of the testis: seen in one published source",
}
"""SNOMED CT ids that are in no list of the library; their notes say that they are to be reviewed."""

each_note = pytest.mark.parametrize("note", notes().values(), ids=lambda note: note["id"])


def codings(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if isinstance(node.get("code"), str) and "system" in node:
            yield node
        for key, value in node.items():
            if key != "extension":
                yield from codings(value)
    elif isinstance(node, list):
        for each in node:
            yield from codings(each)


def rows(library: Path, name: str) -> list[dict[str, str]]:
    with (library / "codes" / name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@each_note
def test_every_opcs_4_code_is_in_use_and_has_its_own_title(library: Path, note: Resource) -> None:
    titles = {row["dotted"]: row["description"] for row in rows(library, "opcs4_codes_hes.csv")}
    found = [each for each in codings(note) if each["system"] == OPCS_4]
    assert found or note["id"] == "operative-note-generic"
    for coding in found:
        assert coding["code"] in titles
        assert coding.get("display", titles[coding["code"]]) == titles[coding["code"]]


@each_note
def test_every_diagnosis_and_snomed_ct_id_was_seen(library: Path, note: Resource) -> None:
    seen = {row["code"] for row in rows(library, "sct_verified.csv")}
    icd = {row["dotted"] for row in rows(library, "icd10_codes_hes.csv")}
    diagnoses = by_url("terminology", "ValueSet")[f"{CSOR}/ValueSet/registry-diagnosis"]
    opening = {code["code"] for each in diagnoses["compose"]["include"]
               for code in each["concept"]}  # fmt: skip
    for coding in codings(note):
        if coding["system"] == SNOMED_CT:
            assert coding["code"] in seen | opening | ASA | TO_BE_REVIEWED.keys()
        if coding["system"] == ICD_10:
            assert coding["code"] in icd | opening


def test_every_opcs_4_code_of_a_value_set_has_its_own_title(library: Path) -> None:
    titles = {row["dotted"]: row["description"] for row in rows(library, "opcs4_codes_hes.csv")}
    listed = [
        (concept["code"], concept["display"])
        for value_set in by_url("terminology", "ValueSet").values()
        for include in value_set["compose"]["include"]
        if include.get("system") == OPCS_4
        for concept in include["concept"]
    ]
    assert len(listed) > 20
    assert [each for each in listed if titles.get(each[0]) != each[1]] == []
