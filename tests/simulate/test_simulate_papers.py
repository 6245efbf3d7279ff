"""`--kinds all`: letters and bills come between the other messages, and change none of them."""

import argparse
import base64
import hashlib
from collections import Counter
from datetime import date

import hl7
import pytest

from fhir_server.simulate import add_arguments, cohort, from_arguments, tables
from fhir_server.simulate.feed import feed
from fhir_server.simulate.options import Kinds
from fhir_server.simulate.papers import pdf
from fhir_server.simulate.sending import Sending
from mappings.hl7v2 import parse, to_bundle
from r4.issue import FhirError
from tests.mappings.messages import CONTEXT, entries
from tests.simulate.conftest import UNTIL

CHILDREN = list(cohort.plan(1, date(2018, 1, 1), 1, 0.2))
HOSPITALS = {each.ods: each for each in tables.hospitals()}
CLASSIC = "777932c7908b3389161b0eb015ee05652d23ef3cd538c7ea5da6210874f84539"
"""The SHA-256 of all that is sent of seed 1, a year of births, size 0.2, without forms."""


def sent(ods: str, kinds: Kinds) -> list[Sending]:
    own = [child for child in CHILDREN if child.ods == ods]
    return list(feed(HOSPITALS[ods], own, UNTIL, {}, 1, kinds=kinds))


@pytest.fixture(scope="module")
def added() -> dict[str, list[Sending]]:
    return {
        ods: [each for each in sent(ods, "all") if "-D" in (each.id or "")] for ods in HOSPITALS
    }


def test_the_bytes_of_the_classic_kinds_are_what_they_always_were() -> None:
    everything = b"".join(each.body for ods in HOSPITALS for each in sent(ods, "classic"))
    assert hashlib.sha256(everything).hexdigest() == CLASSIC


@pytest.mark.parametrize("ods", HOSPITALS)
def test_all_kinds_are_the_classic_ones_and_more(ods: str, added: dict[str, list[Sending]]) -> None:
    rest = [each for each in sent(ods, "all") if not {"D", "S"} & {each.id.rpartition("-")[2][:1]}]
    assert set(added[ods]).isdisjoint(rest)
    assert rest == sent(ods, "classic")
    assert sent(ods, "all") == sent(ods, "all")


def test_nine_hospitals_write_letters_and_five_bills(added: dict[str, list[Sending]]) -> None:
    kinds = {ods: {each.kind for each in listed} for ods, listed in added.items()}
    counted = Counter(kind for found in kinds.values() for kind in found)
    assert counted == {"MDM^T02": 9, "BAR^P05": 3, "DFT^P03": 2}
    assert kinds["RP4"] == set()


def test_each_is_accepted_but_for_the_faulty_ones(added: dict[str, list[Sending]]) -> None:
    found: Counter[str] = Counter()
    for each in (one for listed in added.values() for one in listed):
        if each.faulty:
            with pytest.raises(FhirError):
                to_bundle(parse(each.body), CONTEXT)
            continue
        bundle = to_bundle(parse(each.body), CONTEXT)
        found.update(entry["resource"]["resourceType"] for entry in bundle["entry"])
        assert bool(entries(bundle, "DocumentReference")) == (each.kind == "MDM^T02")
        assert bool(entries(bundle, "Procedure")) == (each.kind != "MDM^T02")
    assert found["DocumentReference"] > 50
    assert found["Procedure"] >= found["Condition"] > 20


def test_a_letter_that_is_no_base64_follows_some(added: dict[str, list[Sending]]) -> None:
    children = cohort.plan(3, date(2018, 1, 1), 1, 5)
    listed = feed(
        HOSPITALS["RJ1"], [c for c in children if c.ods == "RJ1"], UNTIL, {}, 3, kinds="all"
    )
    broken = [each for each in listed if each.faulty and each.kind == "MDM^T02"]
    assert broken
    with pytest.raises(FhirError) as refusal:
        to_bundle(parse(broken[0].body), CONTEXT)
    assert refusal.value.issues[0].expression == "OBX^1^5"


@pytest.mark.parametrize(
    ("ods", "segment", "field", "written"),
    [
        ("RTH", "MSH", 13, "0"),
        ("RTH", "MSH", 21, "iTKv1.0"),
        ("RGT", "EVN", 1, "Sub"),
        ("RHM", "PID", 4, "^^^NH"),
        ("RJ1", "PID", 3, "^^^NHSNBR^NHSNMBR~"),
    ],
)
def test_further_habits_are_those_of_real_senders(
    ods: str, segment: str, field: int, written: str, added: dict[str, list[Sending]]
) -> None:
    read = hl7.parse(added[ods][0].body.decode())
    assert written in str(read.segment(segment)[field])


def test_a_pdf_can_be_read_by_its_table_of_places() -> None:
    made = pdf(["a (b) c", "d"])
    start = int(made.split(b"startxref\n")[1].split(b"\n")[0])
    rows = made[start:].split(b"\n")[3:8]
    assert made.startswith(b"%PDF-1.4\n")
    for number, row in enumerate(rows, 1):
        assert made[int(row[:10]) :].startswith(b"%d 0 obj" % number)
    length = int(made.split(b"/Length ")[1].split(b" ")[0])
    stream = made.split(b"stream\n", 1)[1]
    assert stream[length:].startswith(b"\nendstream")


def test_a_letter_as_pdf_holds_what_one_as_text_says(added: dict[str, list[Sending]]) -> None:
    read = hl7.parse(added["RQM"][0].body.decode())
    data = base64.b64decode(str(read.segment("OBX")[5][0][4]), validate=True)
    assert data.startswith(b"%PDF")
    assert b"minutes) Tj" in data


def test_the_command_takes_kinds() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert from_arguments(parser.parse_args([])).kinds == "classic"
    assert from_arguments(parser.parse_args(["--kinds", "all"])).kinds == "all"
