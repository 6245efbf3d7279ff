"""HL7's own tables as the base layer: they map what ours do not, and change nothing that ours map."""

import random
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from mappings import layers
from mappings.hl7v2 import MappingContext, own, parse, to_bundle
from mappings.hl7v2 import tables as package
from mappings.hl7v2.apply import Engine
from mappings.hl7v2.official import read
from mappings.hl7v2.official.values import primitive
from profiles import validate
from r4.issue import FhirError
from r4.json import encode
from tests.mappings.messages import CONTEXT, SEGMENTS, TERMINOLOGY, entries, one
from tests.support.v2_tables import code, message, segment, write

EXAMPLES = sorted((Path(__file__).parents[2] / "mappings/hl7v2/examples").glob("*.hl7"))
MESSAGE_MAPS = ("MSH[Provenance]", "EVN[Provenance]")
HEAD = "MSH|^~\\&|EPR|RTH|CSOR|CSOR|202505060930||{}|M1|P|2.5.1"
VACCINATION = "\r".join(
    [
        HEAD.format("VXU^V04^VXU_V04"),
        SEGMENTS["PID"],
        "ORC|RE|P1|F1",
        "RXA|0|1|20250506||08^Fictitious vaccine^CVX|0.5|mL^mL^UCUM||||||||L123|20270101||||CP|A",
        "RXR|IM^Intramuscular^HL70162",
    ]
)
UNSETTLED = VACCINATION.replace("|CP|A", "|XX|A")
"""What became of it is a code that no table knows."""


def bare():
    """Our tables, but for what tells of the message itself: what is left is HL7's."""
    ours = package.own()
    maps = {name: ours.segments[name] for name in MESSAGE_MAPS}
    named = {row.datatype_map for rows in maps.values() for row in rows} - {""}
    kept = {name: ours.datatypes[name] for name in named}
    return replace(ours, messages={}, segments=maps, datatypes=kept)


@pytest.fixture(scope="module")
def official(library):
    return read(library / "v2-to-fhir-1.0.0-mappings.tgz")


@pytest.fixture(scope="module")
def over(official):
    """Ours over HL7's, as an operator has them who loads these."""
    return mapping(package.own(), official)


@pytest.fixture(scope="module")
def alone(official):
    """HL7's alone."""
    return mapping(bare(), official)


def mapping(ours, under):
    structures, idle = layers.stacked(ours, under)
    rows = layers.over(ours, under)
    engine = Engine(structures, own().sites, "0" * 12, rows, idle=dict(idle))
    return MappingContext(TERMINOLOGY, engine=engine)


def mapped(raw, context):
    """Return a valid Bundle, or the error: nothing else may come of a message."""
    try:
        bundle = to_bundle(parse(raw), context)
    except FhirError as refused:
        return refused
    urns = [entry["fullUrl"] for entry in bundle["entry"]]
    assert len(set(urns)) == len(urns)
    return bundle


def errors(bundle):
    return [
        (issue.expression, issue.diagnostics)
        for issue in validate(bundle, TERMINOLOGY)
        if issue.is_error
    ]


def test_the_base_changes_no_message_that_we_map(over):
    assert len(EXAMPLES) > 10
    for path in EXAMPLES:
        message_read = parse(path.read_bytes())
        assert encode(to_bundle(message_read, over)) == encode(to_bundle(message_read, CONTEXT))


def test_the_base_maps_what_we_have_no_table_of(over):
    with pytest.raises(FhirError, match="`VXU` is not supported"):
        to_bundle(parse(VACCINATION.encode()), CONTEXT)
    bundle = mapped(VACCINATION.encode(), over)
    given = one(bundle, "Immunization")
    assert given["status"] == "completed"
    assert (given["lotNumber"], given["doseQuantity"]["value"]) == ("L123", Decimal("0.5"))
    assert given["patient"]["reference"] == entries(bundle, "Patient")[0]["fullUrl"]
    assert errors(bundle) == []


def test_our_map_of_a_segment_stands_in_the_place_of_theirs(over):
    ours = one(mapped("\r".join(SEGMENTS.values()).encode(), CONTEXT), "Patient")
    assert one(mapped(VACCINATION.encode(), over), "Patient") == ours


def test_a_visit_is_written_only_if_it_is_not_known_and_has_a_number(over):
    """The event is a sender's own, and only HL7 has a table of the structure that it names."""
    head, event = HEAD.format("ADT^Z11^ADT_A11"), "EVN|Z11|202505060930"
    moved = {"MSH": head, "EVN": event, "PID": SEGMENTS["PID"]}
    with pytest.raises(FhirError, match="Event `Z11` of message type ADT"):
        to_bundle(parse("\r".join(moved.values()).encode()), CONTEXT)
    bundle = mapped("\r".join([*moved.values(), SEGMENTS["PV1"]]).encode(), over)
    (visit,) = entries(bundle, "Encounter")
    assert visit["request"]["method"] == "POST"
    assert visit["request"]["ifNoneExist"].endswith("/RTH/visit|V1")
    assert visit["resource"]["status"] == "unknown"
    unnumbered = mapped("\r".join([*moved.values(), "PV1|1|I"]).encode(), over)
    assert entries(unnumbered, "Encounter") == []


def test_there_is_one_provenance_and_no_message_header(over, alone):
    for context in (over, alone):
        bundle = mapped(VACCINATION.encode(), context)
        told = one(bundle, "Provenance")
        others = [e["fullUrl"] for e in bundle["entry"] if e["resource"] is not told]
        assert [target["reference"] for target in told["target"]] == others
        assert told["entity"][0]["what"]["identifier"]["value"] == "RTH:M1"
        assert entries(bundle, "MessageHeader") == entries(bundle, "Bundle") == []


def results(count):
    rows = "\r".join(
        f"OBX|{number}|NM|{number}-4^Fictitious^LN||{number}.5|mmol/L|||||F"
        for number in range(1, count + 1)
    )
    head = HEAD.format("ORU^R01^ORU_R01")
    order = "ORC|RE|P1|F1||CM\rOBR|1|P1|F1|100^Fictitious panel^L|||202505060900||||||||||||||||||F"
    return f"{head}\r{SEGMENTS['PID']}\r{order}\r{rows}".encode()


def test_thirty_results_are_thirty_observations_of_one_report(alone):
    bundle = mapped(results(30), alone)
    found = entries(bundle, "Observation")
    assert len(found) == 30
    codes = {each["resource"]["code"]["coding"][0]["code"] for each in found}
    assert codes == {f"{number}-4" for number in range(1, 31)}
    report = one(bundle, "DiagnosticReport")
    assert [each["reference"] for each in report["result"]] == [each["fullUrl"] for each in found]
    assert errors(bundle) == []


def test_an_admission_by_their_tables_alone(alone):
    bundle = mapped("\r".join(SEGMENTS.values()).encode(), alone)
    child = one(bundle, "Patient")
    assert child["name"][0]["given"] == ["Ann"]
    assert child["birthDate"] == "2025-04-30"
    assert (
        one(bundle, "Encounter")["subject"]["reference"] == entries(bundle, "Patient")[0]["fullUrl"]
    )
    assert errors(bundle) == []


def test_numbers_without_a_system_are_the_senders_own_and_find_the_resource_again(alone):
    bundle = mapped("\r".join(SEGMENTS.values()).encode(), alone)
    (visit,) = entries(bundle, "Encounter")
    assert visit["request"]["ifNoneExist"].startswith(
        "identifier=https://csor.example/fhir/sid/RTH/visit"
    )
    (child,) = entries(bundle, "Patient")
    assert child["request"]["url"].startswith(
        "Patient?identifier=https://csor.example/fhir/sid/RTH/mrn"
    )


def test_a_resource_without_a_number_is_posted(alone):
    found = {e["resource"]["resourceType"]: e for e in mapped(results(1), alone)["entry"]}
    assert "identifier" not in found["Observation"]["resource"]
    assert found["Observation"]["request"] == {"method": "POST", "url": "Observation"}


def test_what_r4_requires_and_nothing_gives_refuses_the_message(over):
    refused = mapped(UNSETTLED.encode(), over)
    assert isinstance(refused, FhirError)
    assert "gives the Immunization its status" in refused.issues[0].diagnostics
    assert (refused.status, refused.issues[0].rule) == (422, "101")


def test_foreign_messages_give_valid_bundles_or_say_why_not(library, over, alone):
    raws = [path.read_bytes() for path in sorted((library / "hl7v2").rglob("*.hl7"))]
    assert len(raws) == 20
    for context, least in ((over, 9), (alone, 7)):
        found = [each for raw in raws if isinstance(each := mapped(raw, context), dict)]
        assert len(found) >= least
        assert [errors(bundle) for bundle in found if errors(bundle)] == []


def test_damaged_messages_never_fail_in_another_way(library, over, alone):
    raws = [path.read_bytes() for path in sorted((library / "hl7v2").rglob("*.hl7"))]
    drawn = random.Random(20250506)  # noqa: S311 - the same damage each time
    outcomes = {True: 0, False: 0}
    for raw in drawn.choices([*raws, VACCINATION.encode(), results(3)], k=150):
        damaged = bytearray(raw)
        for _ in range(drawn.randint(1, 5)):
            place = drawn.randrange(60, len(damaged))
            part = drawn.choice([b"|", b"^^", b"~", b"&a&b", b'|""|', b"\r", b"D", b""])
            damaged[place : place + drawn.randint(0, 6)] = part
        for context in (over, alone):
            outcomes[isinstance(mapped(bytes(damaged), context), dict)] += 1
    assert min(outcomes.values()) > 20


# small bases of our own, which need no archive


@pytest.fixture
def small(tmp_path):
    """A message about stars: its table, its map, a datatype in a datatype, and a table of codes."""
    begin, end = message("ZZZ_Z01.STARS", "", ""), message("/ZZZ_Z01.STARS", "", "")
    begin[2], end[2] = "[{", "}]"
    head, who = (message(f"ZZZ_Z01.{name}", "", "") for name in ("MSH", "PID"))
    head[2], who[2] = "MSH", "PID"
    who[9:11] = ["Patient[1]", "PID[Patient]"]
    star = message(
        "ZZZ_Z01.STARS.ZZ1",
        "Observation[2]",
        "ZZ1[Observation]",
        "Observation.subject=Patient[1].id",
    )
    star[2] = "ZZ1"
    write(tmp_path, "messages", "ZZZ_Z01", [head, who, begin, star, end])
    system = "http://hl7.org/fhir/observation-status"
    write(tmp_path, "codesystems", "Status", [code("F", "HL70085", "final", system)])
    write(tmp_path, "segments", "PID[Patient]", [segment("PID-7", "birthDate")])
    return tmp_path


def stars(folder, *rows, sent="ZZ1|F|a^b&c", **datatypes):
    """Map a message about stars by a base with these rows, and return its Observations."""
    write(
        folder, "segments", "ZZ1[Observation]", [segment("ZZ1-1", "status", codes="Status"), *rows]
    )
    for name, held in datatypes.items():
        write(folder, "datatypes", name.replace("_", "[") + "]", held)
    lines = [HEAD.format("ZZZ^Z01"), SEGMENTS["PID"], *sent.split("\r")]
    bundle = to_bundle(parse("\r".join(lines).encode()), mapping(bare(), read(folder)))
    return [entry["resource"] for entry in entries(bundle, "Observation")]


def test_each_repetition_of_a_group_has_its_own_resources(small):
    found = stars(small, segment("ZZ1-2", "code.text"), sent="ZZ1|F|one\rZZ1|F|two")
    assert [(each["status"], each["code"]["text"]) for each in found] == [
        ("final", "one"),
        ("final", "two"),
    ]
    assert all(each["subject"]["reference"].startswith("urn:uuid:") for each in found)


def test_rows_of_one_tag_write_to_one_element_and_others_to_another(small):
    rows = [
        segment("ZZ1-2", "code.coding[1].code"),
        segment("ZZ1-2.2", "code.coding[2].code"),
        segment("ZZ1-2", "code.coding[1].system", assigned='"urn:one"'),
    ]
    (found,) = stars(small, *rows)
    assert found["code"]["coding"] == [{"code": "a", "system": "urn:one"}, {"code": "b"}]


def test_a_datatype_within_a_datatype_reads_subcomponents(small):
    (found,) = stars(
        small,
        segment("ZZ1-2", "code", maps="CWE[CodeableConcept]"),
        CWE_CodeableConcept=[segment("CWE.2", "coding[1]", maps="EI[Coding]")],
        EI_Coding=[segment("EI.1", "code"), segment("EI.2", "display")],
    )
    assert found["code"]["coding"] == [{"code": "b", "display": "c"}]


def test_a_condition_chooses_the_row_and_may_ask_for_an_empty_field(small):
    rows = [
        segment("ZZ1-2", "code.text"),
        segment("ZZ1-3", "valueBoolean", assigned='"true"', antlr="IF ZZ1-3 NOT VALUED"),
        segment("ZZ1-2", "bodySite.text", antlr='IF ZZ1-1 EQUALS "P"'),
    ]
    (found,) = stars(small, *rows)
    assert found["valueBoolean"] is True
    assert "bodySite" not in found


def test_a_resource_on_the_way_is_made_and_referred_to(small):
    rows = [
        segment("ZZ1-2", "code.text"),
        segment("ZZ1-2.1", "device(Device.identifier.value)"),
        segment("ZZ1-2.2", "device(Device.lotNumber)"),
    ]
    write(
        small, "segments", "ZZ1[Observation]", [segment("ZZ1-1", "status", codes="Status"), *rows]
    )
    lines = [HEAD.format("ZZZ^Z01"), SEGMENTS["PID"], "ZZ1|F|a^b"]
    bundle = to_bundle(parse("\r".join(lines).encode()), mapping(bare(), read(small)))
    (device,) = entries(bundle, "Device")
    assert one(bundle, "Observation")["device"] == {"reference": device["fullUrl"]}
    assert device["resource"]["lotNumber"] == "b"
    assert (
        device["request"]["ifNoneExist"] == "identifier=https://csor.example/fhir/sid/RTH/device|a"
    )


def test_what_r4_cannot_take_in_part_is_left_out(small):
    rows = [segment("ZZ1-2", "code.text"), segment("ZZ1-2", "component.code.coding.display")]
    empty = segment("ZZ1-2", "extension[1].valueString")
    (found,) = stars(small, *rows, empty)
    assert set(found) == {"resourceType", "status", "code", "component", "subject"}
    (found,) = stars(small, rows[0], segment("ZZ1-2", "referenceRange.age.low.unit"), empty)
    assert "extension" not in found


def test_a_row_that_cannot_run_is_told(small):
    rows = [segment("ZZ1-2", "code.text.extension[1].valueString")]
    write(small, "segments", "ZZ1[Observation]", rows)
    _, idle = layers.stacked(bare(), read(small))
    assert [(origin.line, "part of a primitive" in why) for origin, why in idle] == [(3, True)]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (segment("ZZ1-1", "state"), "R4 has no element"),
        (segment("ZZ1-1", "status", narrative="if bright"), "the condition is a sentence"),
    ],
)
def test_a_row_that_is_not_accounted_for_stops_the_start(small, row, reason):
    write(small, "segments", "ZZ1[Observation]", [row])
    with pytest.raises(ValueError, match=rf"segments/ZZ1\[Observation\], line 3 .*{reason}"):
        layers.stacked(bare(), read(small))


class Told:
    """A place in a message that keeps what it is told."""

    def __init__(self):
        self.reasons = []

    def fail(self, rule, text):
        self.reasons.append(text)


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("20250506", "date", "2025-05-06"),
        ("20250506", "dateTime", "2025-05-06"),
        ("20250506", "instant", None),
        ("1015", "time", "10:15:00"),
        ("2515", "time", None),
        ("Y", "boolean", True),
        ("?", "boolean", None),
        ("7", "positiveInt", 7),
        ("0", "positiveInt", None),
        ("7.5", "integer", None),
        ("0.50", "decimal", Decimal("0.50")),
        ("NaN", "decimal", None),
        (" a  b ", "code", "a b"),
        ("a\nb", "string", "a\nb"),
    ],
)
def test_a_text_is_what_r4s_type_says_or_is_reported(text, kind, value):
    here = Told()
    assert primitive(text, kind, here) == value
    assert here.reasons == ([] if value is not None else [f"`{text}` is no {kind}."])


def test_an_empty_text_is_nothing():
    assert primitive("  ", "date", Told()) is None
