"""Resources made from the standard's definitions: every element that R4 has, with values that are right.

What is drawn follows structure, types, choices, cardinality and required bindings; it need not meet the
invariants. Nothing of the validator is used, so that it can be judged by what is made here.
"""

from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any

from hypothesis import strategies as st

from r4 import definitions
from r4.issue import FhirError
from r4.json import Resource
from terminology import Terminology
from tests.profiles.outlines import children, is_primitive, named

TERMINOLOGY = Terminology.load()
CHANCES = ((0, 0, 0, 0), (15, 10, 6, 3), (40, 20, 10, 5))
"""In a hundred, that an optional element is there: by how rich the resource is, and by how deep it is."""

CONTAINED = ("Patient", "Practitioner", "Location", "Device", "Medication")
DIV = '<div xmlns="http://www.w3.org/1999/xhtml"><p>A &lt; B &amp; <b>é</b></p></div>'
WORDS = st.text(st.characters(categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=12)
TEXTS = st.one_of(
    st.sampled_from(["Smith", "a b", " led", "trailed ", "two\nlines", "tab\tbed", "é", "🙂", "0"]),
    WORDS.filter(lambda text: not text.isspace()),
)
URLS = st.sampled_from([
    "https://example.org/x", "http://example.org/x|1.0", "urn:oid:1.2.3", "relative/x", "#x", "é",
    "urn:uuid:c757873d-ec9a-4326-a141-556f43239520", "mailto:a@example.org", "http://[::1]/x?a=b#c",
])  # fmt: skip
_TIMES = ["00:00:00", "23:59:60", "12:30:00.5", "08:15:59.123456789"]
_ZONES = ["Z", "+00:00", "-05:30", "+14:00", "+13:59", "-14:00"]
DAYS = st.dates().map(lambda day: day.isoformat()) | st.sampled_from(
    ["2024-02-29", "0001-01-01", "9999-12-31"]
)
INSTANTS = st.builds("{}T{}{}".format, DAYS, st.sampled_from(_TIMES), st.sampled_from(_ZONES))
PARTS = DAYS.map(lambda day: day[:4]) | DAYS.map(lambda day: day[:7]) | DAYS
WHOLE = 2**31 - 1
CHANCE = st.integers(0, 99)

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "base64Binary": st.sampled_from(["AA==", "QUJD", "Zm9vYg==", "QUJD\nQUJD", "+/+/"]),
    "boolean": st.booleans(),
    "canonical": URLS,
    "code": st.sampled_from(["a", "a-b", "two words", "é", "1.2", "<"]),
    "date": PARTS,
    "dateTime": PARTS | INSTANTS,
    "decimal": st.sampled_from(
        [
            Decimal(each)
            for each in ("0", "-0.0", "1.50", "-3", "1E+3", "1e-7", "123456789.000000001")
        ]
    )
    | st.integers(-(10**18), 10**18),
    "id": st.from_regex(r"[A-Za-z0-9\-.]{1,64}", fullmatch=True),
    "instant": INSTANTS,
    "integer": st.integers(0, 1) | st.integers(-WHOLE - 1, WHOLE),
    "markdown": TEXTS,
    "oid": st.sampled_from(["urn:oid:1.2.3", "urn:oid:2.16.840.1.113883.6.96", "urn:oid:0.0"]),
    "positiveInt": st.integers(1, WHOLE),
    "string": TEXTS,
    "time": st.sampled_from(_TIMES),
    "unsignedInt": st.integers(0, WHOLE),
    "uri": URLS,
    "url": URLS,
    "uuid": st.uuids().map(lambda each: f"urn:uuid:{each}"),
    "xhtml": st.just(DIV),
}


SETTLED: dict[str, Resource] = {
    "StructureDefinition": {
        "type": "Patient",
        "kind": "resource",
        "derivation": "constraint",
        "baseDefinition": f"{definitions.CORE}Patient",
        "differential": {"element": [{"id": "Patient", "path": "Patient"}]},
    },
    "Appointment": {"status": "proposed"},
    "EventDefinition": {"trigger": [{"type": "named-event", "name": "x"}]},
    "EvidenceVariable": {"characteristic": [{"definitionCanonical": "https://example.org/x"}]},
    "MolecularSequence": {"coordinateSystem": 0},
}
ALWAYS = {
    "AllergyIntolerance.clinicalStatus",
    "Appointment.participant.actor",
    "AppointmentResponse.actor",
    "CapabilityStatement.description",
    "CapabilityStatement.rest",
    "Consent.policyRule",
    "Expression.expression",
    "ImmunizationRecommendation.recommendation.vaccineCode",
    "InsurancePlan.name",
    "Organization.name",
    "TerminologyCapabilities.description",
}
"""Elements that are not left to chance, where an invariant would leave but few resources right."""


@cache
def resources(type_name: str) -> st.SearchStrategy[Resource]:
    """Return what draws resources of a type."""

    @st.composite
    def drawn(draw: st.DrawFn) -> Resource:
        found = Maker(draw, draw(st.sampled_from(CHANCES))).object(type_name, type_name, 0)
        return {"resourceType": type_name, **found, **SETTLED.get(type_name, {})}

    return drawn()


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes one resource: what it draws from, and the chances of what is optional."""

    draw: st.DrawFn
    chances: tuple[int, ...]

    def object(self, type_name: str, path: str, depth: int) -> Resource:
        """Make what a path of a type's snapshot holds; never nothing."""
        found: Resource = {}
        for element in children(type_name, path):
            # Those of modifiers that are not known refuse a resource, and none are known.
            if element["path"].endswith(".modifierExtension"):
                continue
            is_needed = element["min"] > 0 or element["path"] in ALWAYS
            if is_needed or (depth < len(self.chances) and self._happens(self.chances[depth])):
                self._put(found, element, type_name, depth)
        if depth and not found.keys() - {"id"}:
            found["extension"] = [self._extension(depth)]
        return found

    def _happens(self, chance: int) -> bool:
        """Draw whether to do what has a chance in a hundred; the simplest draw is not to."""
        return self.draw(CHANCE) >= 100 - chance

    def _put(self, found: Resource, element: Resource, type_name: str, depth: int) -> None:
        choices = list(named(element))
        name, code = choices[self.draw(st.integers(0, len(choices) - 1)) if choices[1:] else 0]
        if element["max"] == "1":
            found[name] = self._value(element, type_name, code, depth)
        else:
            many = self.draw(st.integers(max(1, element["min"]), 2))
            found[name] = [self._value(element, type_name, code, depth) for _ in range(many)]
        has_sibling = is_primitive(code) and "representation" not in element and name != "id"
        if has_sibling and self._happens(5):
            beside = {"extension": [self._extension(depth)]}
            is_list = element["max"] != "1"
            found[f"_{name}"] = [beside, *[None] * (many - 1)] if is_list else beside

    def _value(self, element: Resource, type_name: str, code: str, depth: int) -> Any:
        if "." in code:
            return self.object(type_name, code, depth + 1)
        if code == "Resource":
            return self._inner(element)
        coding = self._coding(element)
        if code == "Quantity":
            return self._quantity(coding)
        if coding:
            other = {"CodeableConcept": {"coding": [coding]}, "Coding": coding}
            return other.get(code, coding["code"])
        if is_primitive(code):
            return self.draw(VALUES[code])
        if code == "Reference":
            return self._reference(element)
        if code == "Extension":
            return self._extension(depth)
        return self.object(code, code, depth + 1)

    def _extension(self, depth: int) -> Resource:
        found: Resource = {"url": "https://example.org/extension"}
        if depth >= len(self.chances) or not self._happens(25):
            return {**found, "valueString": "x"}
        value = next(e for e in children("Extension", "Extension") if e["path"].endswith("[x]"))
        self._put(found, value, "Extension", depth + 1)
        return found

    def _quantity(self, coding: Resource | None) -> Resource:
        found: Resource = {"value": self.draw(VALUES["decimal"])}
        if coding is None:
            coding = self.draw(
                st.none() | st.just({"system": "http://unitsofmeasure.org", "code": "g"})
            )
        return {**found, **(coding or {"unit": "piece"})}

    def _inner(self, element: Resource) -> Resource:
        """Make a small resource; one that is contained refers to what contains it."""
        kind = self.draw(st.sampled_from(CONTAINED))
        inner: Resource = {"resourceType": kind, "id": self.draw(VALUES["id"]), "language": "en"}
        if element["path"].endswith(".contained"):
            url = "https://example.org/container"
            inner["extension"] = [{"url": url, "valueReference": {"reference": "#"}}]
        return inner

    def _reference(self, element: Resource) -> Resource:
        kinds = [
            kind
            for type_ in element["type"]
            for target in type_.get("targetProfile", ())
            if (kind := target.rpartition("/")[2]) in definitions.resource_types()
        ] or ["Patient"]
        kind = self.draw(st.sampled_from(kinds))
        absolute = f"https://example.org/fhir/{kind}/x/_history/1"
        named_only = {"identifier": {"system": "https://example.org/n", "value": "1"}}
        return self.draw(
            st.sampled_from(
                [{"reference": f"{kind}/x"}, {"reference": absolute, "type": kind}, named_only]
            )
        )

    def _coding(self, element: Resource) -> Resource | None:
        binding = element.get("binding", {})
        found = codes(binding["valueSet"]) if binding.get("strength") == "required" else ()
        return found[self.draw(st.integers(0, len(found) - 1))] if found else None


@cache
def codes(value_set: str) -> tuple[Resource, ...]:
    """List the codes of a value set of R4; a few of those that have no end."""
    if "mimetypes" in value_set:
        return ({"system": "urn:ietf:bcp:13", "code": "text/plain"},)
    if "languages" in value_set:
        return ({"system": "urn:ietf:bcp:47", "code": "en-GB"},)
    try:
        return tuple(TERMINOLOGY.expand(value_set))
    except FhirError:
        return ()
