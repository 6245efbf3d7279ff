"""The synthetic registry: seeded by number alone, so that every server is sent the same bytes.

Nobody in it exists, and its code system is a fiction of the benchmark: 200 codes, evenly used.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

CODES = 200
SYSTEM = "https://csor.example/fhir/CodeSystem/benchmark"
CHILD = "https://csor.example/fhir/sid/benchmark-child"
EACH = 10
"""Observations of a child."""
MONITORED, MANY = 20, 60
"""One child in 20 was monitored and has 60, so that 50 can be asked for."""
FAMILIES = 4999
"""Prime, so that family and birth date together mean one child however many there are."""
OF_A_BUNDLE = 100

_PATIENT = (
    b'{"resourceType":"Patient","identifier":[{"system":"' + CHILD.encode() + b'","value":"%d"}],'
    b'"active":true,"name":[{"use":"official","family":"Testchild-%d","given":["Fictitious"]}],'
    b'"telecom":[{"system":"phone","value":"07700 900%03d","use":"mobile"}],"gender":"%s",'
    b'"birthDate":"%d-%02d-%02d","address":[{"use":"home","line":["%d Example Street"],'
    b'"city":"Exampleton","postalCode":"ZZ%d 1AA"}]}'
)
_OBSERVATION = (
    b'{"resourceType":"Observation","identifier":'
    b'[{"system":"https://csor.example/fhir/sid/benchmark-result","value":"%d-%d"}],'
    b'"status":"final","category":[{"coding":[{"system":'
    b'"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs",'
    b'"display":"Vital Signs"}]}],"code":{"coding":[{"system":"' + SYSTEM.encode() + b'",'
    b'"code":"c-%03d","display":"Fictitious measurement %d"}],"text":"Fictitious measurement"},'
    b'"subject":{"reference":"Patient/%s","display":"Testchild"},'
    b'"effectiveDateTime":"%s","issued":"%s",'
    b'"valueQuantity":{"value":%d.50,"unit":"g","system":"http://unitsofmeasure.org","code":"g"},'
    b'"interpretation":[{"coding":[{"system":'
    b'"http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation","code":"N",'
    b'"display":"Normal"}]}],"referenceRange":[{"low":{"value":2500,"unit":"g",'
    b'"system":"http://unitsofmeasure.org","code":"g"},"high":{"value":4000,"unit":"g",'
    b'"system":"http://unitsofmeasure.org","code":"g"}}],'
    b'"note":[{"text":"Fictitious, made by the load generator."}]}'
)
_ENTRY = b'{"resource":%s,"request":{"method":"POST","url":"%s"}}'
_GENDERS = (b"female", b"male")


@dataclass
class Children:
    """The children whom a server has stored: their ids there, by number."""

    ids: list[str] = field(default_factory=list)
    observations: int = 0

    def monitored(self, turn: int) -> str:
        """Return the id of a child with at least 50 observations."""
        return self.ids[turn * MONITORED % (len(self.ids) // MONITORED * MONITORED)]

    def any(self, turn: int) -> int:
        """Return the number of a child; consecutive turns are far apart."""
        return turn * 7919 % len(self.ids)


def patient(number: int) -> bytes:
    """Return a child as JSON."""
    return _PATIENT % (
        number, number % FAMILIES, number % 1000, _GENDERS[number % 2],
        2015 + number % 10, number % 12 + 1, number % 28 + 1, number % 99 + 1, number % 99 + 1,
    )  # fmt: skip


def code(child: int, turn: int) -> str:
    """Return the code of a child's observation: each child has two codes."""
    return f"c-{(child * 7 + turn % 2) % CODES:03}"


def moment(child: int, turn: int) -> str:
    """Return when a child's observation was made."""
    day = child * 13 + turn * 31
    return f"{2020 + day % 6}-{day % 12 + 1:02}-{day % 28 + 1:02}T{day % 24:02}:{turn % 60:02}:00+00:00"


def observation(child: int, id: str, turn: int) -> bytes:
    """Return a child's observation as JSON: about 1.3 kB, as a monitor would send it."""
    when = moment(child, turn).encode()
    index = (child * 7 + turn % 2) % CODES
    return _OBSERVATION % (
        child, turn, index, index, id.encode(), when, when, 2500 + (child + turn) % 1500,
    )  # fmt: skip


def due(child: int) -> int:
    """Return how many observations a child has in the seeded registry."""
    return EACH if child % MONITORED else MANY


def observations_of(numbers: Sequence[int]) -> list[list[tuple[int, int]]]:
    """Return the (child, turn) of the observations that children are due, in Bundles.

    A ward's observations arrive mixed: neighbours of a Bundle are of different children.
    """
    due_here = [(child, turn) for child in numbers for turn in range(due(child))]
    stride = max(1, len(due_here) // OF_A_BUNDLE)
    return [due_here[at::stride] for at in range(stride)]


def bundle(resources: list[bytes], kind: bytes) -> bytes:
    """Return a transaction that creates resources of one type."""
    entries = b",".join(_ENTRY % (resource, kind) for resource in resources)
    return b'{"resourceType":"Bundle","type":"transaction","entry":[' + entries + b"]}"
