"""What HL7's own tables map is explained as what ours do: every value is accounted for."""

import pytest

from mappings.hl7v2 import explain, parse, to_bundle
from mappings.hl7v2 import tables as package
from mappings.hl7v2.official import read
from r4.issue import FhirError
from tests.mappings.test_hl7v2_base import HEAD, VACCINATION, bare, mapping, results
from tests.mappings.test_hl7v2_explain import assert_accounted, sources, why

THEIRS = "HL7's own table gives it no target"


@pytest.fixture(scope="module")
def official(library):
    return read(library / "v2-to-fhir-1.0.0-mappings.tgz")


@pytest.fixture(scope="module")
def over(official):
    """Ours over HL7's, as an operator has them who loads these."""
    return mapping(package.own(), official)


@pytest.fixture(scope="module")
def alone(official):
    """HL7's alone, but for what tells of the message itself."""
    return mapping(bare(), official)


def test_a_vaccination_is_told_value_by_value(over):
    conversion = explain(VACCINATION.encode(), over)
    assert conversion.issues == ()
    assert_accounted(conversion)
    (lot,) = [each for each in conversion.written if each.expression.endswith(".lotNumber")]
    assert ([str(place) for place in lot.source], lot.origin.layer) == (["RXA^1^15"], "official")
    assert sources(conversion, ".doseQuantity.value") == ["RXA^1^6"]
    assert why(conversion, "RXA^1^1") == ("not-mapped", THEIRS)


def test_what_our_map_leaves_out_in_their_message_is_said_by_ours(over):
    conversion = explain(VACCINATION.encode(), over)
    (found,) = [each for each in conversion.ignored if str(each.place) == "PID^1^1"]
    assert (found.why, found.origin.layer) == ("structure", "own")


def test_of_a_row_of_theirs_that_is_not_run_it_is_said_why_not(over):
    conversion = explain(VACCINATION.encode(), over)
    (found,) = [each for each in conversion.ignored if str(each.place) == "ORC^1^2"]
    assert found.reason.startswith("HL7's own row is not run: ")
    assert found.origin.table == "messages/VXU_V04"


def test_of_a_field_that_their_map_has_no_row_of_it_is_said_so(over):
    longer = VACCINATION.replace("||||CP|A", "||||CP|A" + "|" * 40 + "x")
    assert why(explain(longer.encode(), over), "RXA^1^61") == (
        "not-mapped",
        "HL7's own tables have no row RXA-61 here",
    )


def test_a_segment_of_theirs_where_it_has_no_place_is_outside_the_structure(over):
    raw = f"{VACCINATION.splitlines()[1]}\rRXA|0|1"
    conversion = explain(f"{HEAD.format('ADT^A28')}\r{raw}".encode(), over)
    assert why(conversion, "RXA^1^1")[0] == "outside-structure"


def mapped(message, context):
    """Return Bundle and issues as the engine gives them that nobody watches."""
    try:
        return to_bundle(message, context), ()
    except FhirError as refusal:
        return None, tuple(refusal.issues)


def test_whatever_they_map_is_explained_as_it_is_mapped(library, over, alone):
    paths = sorted((library / "hl7v2").rglob("*.hl7"))
    bundles = 0
    for raw in [*(path.read_bytes() for path in paths), VACCINATION.encode(), results(3)]:
        try:
            message = parse(raw)
        except FhirError:
            continue
        for context in (over, alone):
            conversion = explain(message, context)
            assert (conversion.bundle, conversion.issues) == mapped(message, context)
            assert_accounted(conversion)
            bundles += conversion.bundle is not None
    assert bundles > len(paths) / 2
