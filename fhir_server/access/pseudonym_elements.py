"""What of a resource leaves to an analyst: by the datatypes of R4's definitions, and by nothing else.

Listed is what leaves; what is not listed does not: an element that the standard, a profile or a sender
adds is left out until it is listed here.
https://hl7.org/fhir/R4/datatypes.html
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from r4 import definitions
from r4.json import Resource
from terminology import Terminology
from terminology.grammars import GRAMMARS
from terminology.loaders.rf2 import has_check_digit
from terminology.systems import ALIASES, CSOR, ICD_10, LOINC, OPCS_4, SNOMED_CT, UCUM

_LONDON = ZoneInfo("Europe/London")
_NUMBERS = frozenset({"decimal", "integer", "positiveInt", "unsignedInt"})
_BEYOND = 10_000_000
"""No number from here on leaves: it may be somebody's number, or a date without its dashes."""
_MOMENTS = frozenset({"date", "dateTime", "instant"})
_QUANTITIES = frozenset({"Quantity", "SimpleQuantity", "Age", "Count", "Distance", "Duration"})
_PARTS = frozenset({"BackboneElement", "Element"})
_WHOLES = frozenset({"Period", "Range", "Ratio", "Dosage"})
"""Datatypes of which those elements leave that may leave anywhere."""
_WITHHELD = frozenset({
    "Patient.contact", "Patient.communication", "Patient.generalPractitioner", "Organization.contact",
})  # fmt: skip
"""What does not leave though its datatype would: relatives, languages, and practices, which are small."""
_BIRTH_DATE, _ADDRESS = "Patient.birthDate", "Patient.address"
_FORM, _LINK = "QuestionnaireResponse.questionnaire", "QuestionnaireResponse.item.linkId"
_UK_CORE = "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-"
EXTENSIONS = frozenset({
    f"{CSOR}/StructureDefinition/procedure-laterality",
    f"{CSOR}/StructureDefinition/procedure-stage",
    f"{CSOR}/StructureDefinition/procedure-urgency",
    f"{CSOR}/StructureDefinition/surgeon-grade",
    f"{_UK_CORE}AdmissionMethod", f"{_UK_CORE}DischargeMethod",
    f"{_UK_CORE}BirthSex", f"{_UK_CORE}EthnicCategory",
    "http://hl7.org/fhir/StructureDefinition/condition-assertedDate",
})  # fmt: skip
"""The extensions that leave, with values of the datatypes that do."""

_UK = "https://fhir.hl7.org.uk/CodeSystem/UKCore-"
_SHORT = re.compile(r"[A-Z0-9]{1,3}").fullmatch
_FORMS: Mapping[str, Callable[[str], object]] = {
    SNOMED_CT: has_check_digit,
    LOINC: re.compile(r"(?:L[AP])?\d{1,7}-\d").fullmatch,
    ICD_10: re.compile(r"[A-Z]\d\d(?:\.?[0-9X]\d?)?[AD]?").fullmatch,
    OPCS_4: re.compile(r"[A-Z]\d\d(?:\.?\d)?").fullmatch,
    f"{_UK}AdmissionMethodEngland": _SHORT,
    f"{_UK}DischargeDestinationEngland": _SHORT,
    f"{_UK}DischargeMethodEngland": _SHORT,
    f"{_UK}EthnicCategoryEngland": _SHORT,
    f"{_UK}SourceOfAdmissionEngland": _SHORT,
}
"""The systems whose codes leave by their form where no release is loaded that knows them."""
_HELD = (
    f"{CSOR}/CodeSystem/", "http://terminology.hl7.org/CodeSystem/", "http://hl7.org/fhir/",
    "https://fhir.hl7.org.uk/CodeSystem/", "https://fhir.nhs.uk/CodeSystem/",
)  # fmt: skip
"""The systems whose codes leave where the registry holds them in full and has the code."""
_ANNOTATION = re.compile(r"\{[^{}]*\}")
_MOMENT = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)(?:T(?P<clock>\d\d:\d\d:\d\d)(?P<fraction>\.\d+)?(?P<zone>Z|[+-]\d\d:\d\d))?"
)
_POSTCODE = re.compile(r"([A-Z]{1,2}\d[A-Z\d]?) ?\d[A-Z]{2}")
_LABELS = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue"
META: Resource = {
    "security": [{"system": _LABELS, "code": "PSEUDED"}],
    "tag": [{"system": _LABELS, "code": "SUBSETTED"}],
}
"""What stands in place of what the registry says of a version."""


class WithheldError(Exception):
    """A resource does not leave: what would be left out changes the meaning of what would stay."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How one resource leaves.

    days: by how many its dates are earlier; None where it is no child's: then none leaves. birth_date
    and postcode: as the policy has them. refer: what a reference becomes, None where it does not leave.
    knows: whether a code leaves, by its system. allows: whether a value set has a code. form: the linkIds
    of a form, by its canonical url.
    """

    days: int | None
    birth_date: str
    postcode: str
    refer: Callable[[str], str | None]
    knows: Callable[[str, str], bool]
    allows: Callable[[str, str], bool]
    form: Callable[[str], frozenset[str]]


class _Element(NamedTuple):
    """An element of a path: its datatype, its own path, and the value set that its codes must be of."""

    type: str
    path: str
    bound: str = ""


def leaving(resource: Resource, rules: Rules) -> Resource:
    """Return what leaves of a resource, without its id; raises WithheldError where nothing may."""
    kind = resource["resourceType"]
    links: frozenset[str] = frozenset()
    if kind == "QuestionnaireResponse":
        links = rules.form(_text(resource.get("questionnaire")).partition("|")[0])
    return {"resourceType": kind, "meta": META, **_Leaving(rules, links).below(resource, kind)}


def knows(terminology: Terminology, system: str, code: str) -> bool:
    """Tell whether a code of a system leaves: known here, or in the form of a system's that is listed."""
    system = ALIASES.get(system, system)
    if (form := _FORMS.get(system)) is not None:
        return bool(form(code)) and terminology.validate_in_system(system, code) is not False
    return system.startswith(_HELD) and terminology.validate_in_system(system, code) is True


def earlier(text: str, days: int) -> str | None:
    """Return a day or moment so many days earlier, None for one that is not full or beyond the calendar.

    A moment is told by the clock in the United Kingdom and marked `Z`: the changes of the clocks, and
    the zones in which senders write, would tell the season, and some of them the day.
    """
    found = _MOMENT.fullmatch(text)
    if found is None:
        return None
    try:
        if found["clock"] is None:
            return (date.fromisoformat(found["day"]) - timedelta(days)).isoformat()
        moment = datetime.fromisoformat(f"{found['day']}T{found['clock']}{found['zone']}")
        clock = moment.astimezone(_LONDON).replace(tzinfo=None) - timedelta(days)
    except (ValueError, OverflowError):
        return None
    return f"{clock.isoformat(timespec='seconds')}{found['fraction'] or ''}Z"


def linked(form: Resource) -> frozenset[str]:
    """Return the linkIds of a Questionnaire's items."""
    found: set[str] = set()
    items = list(form.get("item", ()))
    for item in items:  # it grows while it is walked
        found.add(item["linkId"])
        items += item.get("item", ())
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class _Leaving:
    rules: Rules
    links: frozenset[str]

    def below(self, node: Resource, path: str) -> Resource:
        """Return what leaves of an object whose elements are those below a path."""
        if node.keys() & {"modifierExtension", "implicitRules"}:
            raise WithheldError
        known, found = _elements(path), {}
        for key, value in node.items():
            if key == "extension":
                made = self._extensions(value)
            else:
                element = known.get(key)
                made = None if element is None else self._every(value, element)
            if made is not None:
                found[key] = made
        return found

    def _every(self, value: Any, element: _Element) -> Any:
        if element.path == _ADDRESS:
            return self._districts(value)
        if not isinstance(value, list):
            return self._one(value, element)
        return [made for each in value if (made := self._one(each, element)) is not None] or None

    def _one(self, value: Any, element: _Element) -> Any:
        if element.path == _BIRTH_DATE:
            return self._birth_date(value)
        if element.path == _LINK:
            return value if value in self.links else None
        if element.path == _FORM:
            return value.partition("|")[0] if isinstance(value, str) and self.links else None
        if isinstance(value, dict):
            return self._object(value, element)
        return self._primitive(value, element)

    def _primitive(self, value: Any, element: _Element) -> Any:
        kind = element.type
        if kind == "boolean":
            return value if isinstance(value, bool) else None
        if kind in _NUMBERS:
            return _number(value)
        if kind in _MOMENTS:
            days = self.rules.days
            return None if days is None or not isinstance(value, str) else earlier(value, days)
        if kind == "code" and element.bound and isinstance(value, str):
            return value if self.rules.allows(element.bound, value) else None
        return None

    def _object(self, value: Resource, element: _Element) -> Resource | None:
        kind = element.type
        if kind in _QUANTITIES:
            return _quantity(value)
        if kind == "Coding":
            return self._coding(value)
        if kind == "CodeableConcept":
            codings = [each for one in value.get("coding", ()) if (each := self._coding(one))]
            return {"coding": codings} if codings else None
        if kind == "Reference":
            place = self.rules.refer(_text(value.get("reference")))
            return None if place is None else {"reference": place}
        if kind in _PARTS:
            made = self.below(value, element.path)
            return None if element.path == _ITEM and "linkId" not in made else made or None
        return (self.below(value, kind) or None) if kind in _WHOLES else None

    def _coding(self, coding: Resource) -> Resource | None:
        system, code = _text(coding.get("system")), _text(coding.get("code"))
        return {"system": system, "code": code} if self.rules.knows(system, code) else None

    def _extensions(self, listed: list[Resource]) -> list[Resource] | None:
        made = [
            {"url": each["url"], **value}
            for each in listed
            if each.get("url") in EXTENSIONS and (value := self.below(_flat(each), "Extension"))
        ]
        return made or None

    def _birth_date(self, value: str) -> str | None:
        """Return the day of birth, shifted as the child's other dates, to the month or the year."""
        shifted = None if self.rules.days is None else earlier(value, self.rules.days)
        length = len("2018-01") if self.rules.birth_date == "month" else len("2018")
        return shifted[:length] if shifted else None

    def _districts(self, addresses: list[Resource]) -> list[Resource] | None:
        if self.rules.postcode != "district":
            return None
        written = (_text(each.get("postalCode")) for each in addresses if each.get("use") != "old")
        matches = (_POSTCODE.fullmatch(each.strip().upper()) for each in written)
        return [{"postalCode": found[1]} for found in matches if found][:1] or None


_ITEM = "QuestionnaireResponse.item"


def _flat(extension: Resource) -> Resource:
    """Return an extension without those in it: none that leaves has any."""
    return {key: value for key, value in extension.items() if key != "extension"}


def _number(value: Any) -> Any:
    is_number = isinstance(value, (int, Decimal)) and not isinstance(value, bool)
    return value if is_number and abs(value) < _BEYOND else None


def _quantity(quantity: Resource) -> Resource | None:
    """Return a number with its unit of UCUM, or one that has no unit; None for any other one."""
    value, unit = _number(quantity.get("value")), quantity.get("code")
    if value is None:
        return None
    found = {"value": value}
    if quantity.get("comparator") in ("<", "<=", ">=", ">"):
        found["comparator"] = quantity["comparator"]
    if unit is None and "unit" not in quantity:
        return found
    if quantity.get("system") != UCUM or not isinstance(unit, str):
        return None
    plain = _ANNOTATION.sub("", unit) or "1"  # an annotation is text, and changes no unit
    return None if GRAMMARS[UCUM].problem(plain) else {**found, "system": UCUM, "code": plain}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


@cache
def _elements(path: str) -> Mapping[str, _Element]:
    """Map the JSON keys of the elements below a path to what they are; those withheld are left out."""
    structure = definitions.structure(path.partition(".")[0])
    found: dict[str, _Element] = {}
    for element in structure["snapshot"]["element"] if structure else ():
        at = element["path"]
        if at.rpartition(".")[0] != path or at in _WITHHELD:
            continue
        name = at.rpartition(".")[2]
        if same := element.get("contentReference"):
            found[name] = _Element("BackboneElement", same.removeprefix("#"))
        binding = element.get("binding", {})
        bound = binding.get("valueSet", "") if binding.get("strength") == "required" else ""
        for kind in element.get("type", ()):
            code = kind["code"]
            key = name.removesuffix("[x]") + code[0].upper() + code[1:] if "[x]" in name else name
            found[key] = _Element(code, at, bound)
    return found
