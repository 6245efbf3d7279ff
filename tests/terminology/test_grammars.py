"""Units, media types and languages: their codes are made by a grammar, and none is loaded."""

import subprocess
import sys
from decimal import Decimal

import pytest
from ucumvert import PintUcumRegistry

from r4.fhirpath import quantities
from r4.issue import FhirError
from terminology import Expand, Terminology, ucum
from terminology.systems import BCP_13, BCP_47, UCUM
from tests.terminology.fictitious import including, service, value_set

HL7 = "http://hl7.org/fhir/ValueSet"
UNITS = value_set("units", {"system": UCUM})
MASSES = value_set("masses", including(UCUM, ("canonical", "=", "g")))
SHORT = value_set("short", including(UCUM, ("code", "regex", "[a-z]{1,2}")))
SERVICE = service(UNITS, MASSES, SHORT)


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("mg", "milligram"),
        ("mm[Hg]", "millimeter of mercury column"),
        ("kg/m2", "kilogram / meter^2"),
        ("mL/(kg.h)", "milliliter / (kilogram * hour)"),
        ("10*9/L", "10^9 / liter"),
        ("{beats}/min", "beats / minute"),
        ("/min", "1 / minute"),
        ("g{wet}", "gram wet"),
        ("Cel", "degree Celsius"),
        ("%", "percent"),
        ("1", "1"),
    ],
)
def test_a_unit_is_read_and_named(code: str, name: str) -> None:
    found = SERVICE.check(None, {"system": UCUM, "code": code})
    assert (found.result, found.reason, found.display) == (True, "", name)
    assert found.version == ucum.version()
    assert SERVICE.concept(UCUM, code).concept.display == name


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("kilogram", "'i', its character 2"),
        ("Kg", "'g', its character 2"),
        ("mm Hg", "' ', its character 3"),
        ("kg/", "ends before the unit does"),
        ("m" * (ucum.LONGEST + 1), "at most 200 characters"),
        ("(" * ucum.LONGEST, "ends before the unit does"),
    ],
)
def test_what_is_no_unit_is_said_to_be_none_and_why(code: str, why: str) -> None:
    found = SERVICE.check(None, {"system": UCUM, "code": code})
    assert (found.result, found.reason) == (False, "unknown-code")
    assert why in ucum.read(code).problem
    with pytest.raises(FhirError) as refusal:
        SERVICE.concept(UCUM, code)
    assert refusal.value.status == 404


def test_a_unit_may_be_displayed_in_any_words() -> None:
    for name in (None, UNITS["url"], f"{HL7}/age-units"):
        coding = {"system": UCUM, "code": "wk", "display": "Wochen"}
        assert SERVICE.check(name, coding).result is True


def test_a_value_set_of_all_units_has_each_and_no_other() -> None:
    for url in (UNITS["url"], f"{HL7}/ucum-units", f"{HL7}/ucum-units|4.0.1"):
        assert SERVICE.validate_code(url, UCUM, "mmol/L") is True
        assert SERVICE.validate_code(url, None, "mmol/L") is True
        assert SERVICE.validate_code(url, UCUM, "mmol per litre") is False
    assert SERVICE.validate_code(f"{HL7}/ucum-bodyweight", UCUM, "kg") is True
    assert SERVICE.validate_code(f"{HL7}/ucum-bodyweight", UCUM, "m") is False


def test_units_by_a_property_cannot_be_told_and_units_by_code_can() -> None:
    found = SERVICE.check(MASSES["url"], {"system": UCUM, "code": "kg"})
    assert (found.result, found.reason) == (None, "unsupported-filter")
    assert SERVICE.validate_code(SHORT["url"], UCUM, "kg") is True
    assert SERVICE.validate_code(SHORT["url"], UCUM, "mmol") is False


def test_there_is_no_end_of_units_to_list() -> None:
    for asked in (Expand(), Expand(count=5), Expand(filter="gram")):
        with pytest.raises(FhirError) as refusal:
            SERVICE.expansion(UNITS, asked)
        assert (refusal.value.status, refusal.value.issues[0].code) == (422, "too-costly")


def test_another_version_of_ucum_is_not_here() -> None:
    found = SERVICE.check(None, {"system": UCUM, "version": "1.0", "code": "mg"})
    assert (found.result, found.reason) == (None, "not-loaded")


@pytest.mark.parametrize(
    ("system", "right", "wrong"),
    [
        (BCP_13, "application/fhir+json", "pdf"),
        (BCP_13, "text/plain; charset=utf-8", "text/"),
        (BCP_13, "xml", "text plain"),
        (BCP_47, "en-GB", "English"),
        (BCP_47, "cy", "en_GB"),
        (BCP_47, "zh-Hant-TW", "e"),
        (BCP_47, "de-CH-1996", "en-"),
    ],
)
def test_media_types_and_languages_are_told_by_their_form(
    system: str, right: str, wrong: str
) -> None:
    assert SERVICE.check(None, {"system": system, "code": right, "display": "Any"}).result is True
    assert SERVICE.check(None, {"system": system, "code": wrong}).result is False


def test_the_library_is_not_imported_before_a_unit_is_read() -> None:
    script = (
        "import sys, terminology; t = terminology.Terminology.load(); before = 'ucumvert' in sys.modules;"
        f"t.check(None, {{'system': '{UCUM}', 'code': 'mg'}}); print(before, 'ucumvert' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "True"]


CONVERTED = [
    ("mg", "kg"), ("[lb_av]", "kg"), ("[oz_av]", "g"), ("[stone_av]", "kg"), ("[gr]", "mg"),
    ("[in_i]", "cm"), ("[ft_i]", "m"), ("[mi_i]", "km"), ("wk", "d"), ("a", "d"), ("h", "s"),
    ("mm[Hg]", "kPa"), ("cm[H2O]", "Pa"), ("atm", "Pa"), ("bar", "Pa"), ("cal", "J"),
    ("mL", "cm3"), ("dL", "mL"), ("mmol/L", "mol/m3"), ("U", "umol/min"), ("mU/L", "U/m3"), ("%", "1"),
    ("kg/m2", "g/cm2"), ("mg/dL", "g/L"), ("mL/min", "L/h"), ("[drp]", "mL"), ("t", "kg"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), CONVERTED)
def test_the_factors_that_searches_convert_by_are_those_of_the_library(
    units: PintUcumRegistry, one: str, other: str
) -> None:
    ours = quantities.convert(quantities.Quantity(Decimal(1), one), other)
    theirs = units.from_ucum(one).to(units.from_ucum(other).units).magnitude
    assert ours is not None
    assert float(ours) == pytest.approx(float(theirs), rel=1e-5)


@pytest.fixture(scope="module")
def units() -> PintUcumRegistry:
    return PintUcumRegistry()


def test_every_unit_that_searches_convert_is_one_of_the_library() -> None:
    assert quantities._ATOMS.keys() >= quantities._METRIC
    prefixed = quantities._METRIC - {"[degF]", "[arb'U]"}  # the table is laxer there
    known = [f"{prefix}{unit}" for prefix in quantities._PREFIXES for unit in prefixed]
    known += quantities._ATOMS
    assert len(known) > 500
    assert [unit for unit in known if quantities._reduce(unit, calendar=False) is None] == []
    assert [unit for unit in known if ucum.read(unit).problem] == []


def test_the_service_of_this_release_reads_units_too() -> None:
    found = Terminology.load().check(f"{HL7}/ucum-common", {"system": UCUM, "code": "kg"})
    assert found.result is True
