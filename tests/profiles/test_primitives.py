"""Which JSON values are values of FHIR's primitive types."""

from decimal import Decimal

import pytest

from profiles.primitives import LONGEST_STRING, PRIMITIVES
from r4 import definitions
from terminology import systems

RIGHT = {
    "base64Binary": ["TWFu", "TWE=", "TQ==", "TWFu\r\nTWFu"],
    "boolean": [True, False],
    "canonical": ["https://example.org/ValueSet/a|1.0"],
    "code": ["final", "two words"],
    "date": ["2026", "2026-02", "2026-02-28", "2024-02-29", "0001-01-01"],
    "dateTime": [
        "2026",
        "2026-01-05T09:30:00Z",
        "2026-01-05T09:30:00.123+01:00",
        "2016-12-31T23:59:60Z",
        "2026-01-05T00:00:00-14:00",
    ],
    "decimal": [0, -3, Decimal("1.00"), Decimal("1E-20")],
    "id": ["a", "A-1.b", "x" * 64],
    "instant": ["2026-01-05T09:30:00Z"],
    "integer": [0, -(2**31), 2**31 - 1],
    "markdown": ["# Title\n\n* item"],
    "oid": ["urn:oid:2.16.840.1.113883"],
    "positiveInt": [1],
    "string": ["Zoë", " a ", "line\nline", "\u00a0x"],
    "time": ["09:30:00", "23:59:59.999"],
    "unsignedInt": [0],
    "uri": ["urn:x", "https://example.org/a?b#c"],
    "url": ["https://example.org"],
    "uuid": ["urn:uuid:5b0c1a5e-0000-4000-8000-000000000001"],
}
WRONG = {
    "base64Binary": ["", "TWF", "T=Fu", "TWFu!", "====", 1],
    "boolean": ["true", 1, 0, None],
    "canonical": ["", "a b"],
    "code": ["", " final", "final ", "two  words", "two\twords", "final\n", 1],
    "date": [
        "2026-02-29",
        "2026-04-31",
        "2100-02-29",
        "2026-13",
        "0000",
        "26",
        "2026-1-5",
        "20260105",
        "2026-01-05T09:30:00Z",
        "2026-01-05\n",
        "\u0662\u0660\u0662\u0666",
        2026,
    ],
    "dateTime": [
        "2026-01-05T09:30:00",
        "2026-01-05T09:30Z",
        "2026-01-05T24:00:00Z",
        "2026-01-05 09:30:00Z",
        "2026-02-30T09:30:00Z",
        "2026-01-05T09:30:00+15:00",
    ],
    "decimal": [True, "1.0", 1.5, Decimal("NaN"), Decimal("1E+401"), 10**401],
    "id": ["", "x" * 65, "a_b", "a/b"],
    "instant": ["2026", "2026-01-05", "2026-01-05T09:30:00"],
    "integer": [True, "1", Decimal("1.0"), 2**31, -(2**31) - 1],
    "markdown": ["", "  \n"],
    "oid": ["2.16.840", "urn:oid:3.1", "urn:oid:1.02"],
    "positiveInt": [0, -1, True],
    "string": ["", " ", "\n", "a\x00b", 1, None, ["a"], {}, "x" * (1024 * 1024 + 1)],
    "time": ["9:30:00", "09:30", "24:00:00", "09:30:00Z"],
    "unsignedInt": [-1, 2**31],
    "uri": ["", "a b", "a\n"],
    "url": ["a b"],
    "uuid": ["urn:uuid:5B0C1A5E-0000-4000-8000-000000000001", "5b0c1a5e"],
}


@pytest.mark.parametrize(("type_", "value"), [(t, v) for t, vs in RIGHT.items() for v in vs])
def test_a_right_value_is_accepted(type_, value):
    assert PRIMITIVES[type_].accepts(value)


@pytest.mark.parametrize(
    ("type_", "value"),
    [pytest.param(t, v, id=f"{t}-{i}") for t, vs in WRONG.items() for i, v in enumerate(vs)],
)
def test_a_wrong_value_is_refused(type_, value):
    assert not PRIMITIVES[type_].accepts(value)


def test_every_primitive_type_of_the_standard_is_known():
    kinds = {
        d["type"] for d in definitions.every("StructureDefinition") if d["kind"] == "primitive-type"
    }
    assert set(PRIMITIVES) == kinds


AWKWARD = (
    "", " ", "\x00", "a\x00b", " a", "a ", "a  b", "a\nb", "\n", "\u00a0", "\u00a0a", "é", "a b",
    "2024-02-29", "2023-02-29", "2023-02-28", "2024-04-31", "2024-00-01", "0000-01-01", "2024",
    "2024-02", "2024-02-28T10:00:00Z", "2024-02-30T10:00:00Z", "2024-02-28T10:00:00",
    "2024-02-28T24:00:00Z", "2024-02-28T10:00:60+14:00", "2024-02-28\n", "١٢٣٤-٠١-٠١", "urn:x:y",
    "http://a b", "a" * 64, "a" * 65, "a" * 2000, "a" * (LONGEST_STRING + 1), "Ａ", "-.", "code\t",
)  # fmt: skip


def test_the_code_systems_that_are_known_without_looking_have_right_urls() -> None:
    known = (*definitions.urls("CodeSystem"), *systems.WELL_KNOWN)
    assert all(PRIMITIVES["uri"].accepts(url) for url in known)


def test_a_quantity_of_a_long_number_is_none() -> None:
    accepts = PRIMITIVES["decimal"].accepts
    assert accepts(10**400 - 1)
    assert accepts(1 - 10**400)
    assert not accepts(10**400)
    assert not accepts(-(10**400))


@pytest.mark.parametrize("code", [code for code, each in PRIMITIVES.items() if each.quick])
def test_what_is_quickly_found_right_is_right(code: str) -> None:
    primitive = PRIMITIVES[code]
    assert primitive.quick is not None
    quickly = [text for text in AWKWARD if primitive.quick(text)]
    assert quickly, "there is something that it tells"
    assert all(primitive.accepts(text) for text in quickly)
