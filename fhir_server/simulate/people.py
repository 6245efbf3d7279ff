"""Fictitious people: NHS numbers of the range that is never issued, names nobody bears.

Numbers begin with 999 and carry the right check digit (NHS Data Dictionary, modulus 11). G513H's
children get such a number as their CHI number, which has the same check digit: a real one would
begin with the birth date.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from random import Random

from fhir_server.simulate import tables

_STEMS = 1_000_000
_NO_DIGIT = 10
_STEP = 389_987  # prime to a million: the walk meets every stem once


@dataclass(frozen=True, slots=True)
class Person:
    """A child as a hospital's patient index holds it."""

    number: str
    mrn: str
    family: str
    given: str
    birth: datetime
    gender: str
    ethnic: str
    street: str
    town: str


@dataclass(frozen=True, slots=True)
class Surgeon:
    """A surgeon with a fictitious GMC number: seven digits; HL7 v2 and HES write C before them."""

    gmc: str
    family: str
    given: str


def check_digit(stem: str) -> int:
    """Return the check digit of nine digits; 10 means that no number has this stem."""
    remainder = sum(int(digit) * (10 - place) for place, digit in enumerate(stem)) % 11
    return (11 - remainder) % 11


def numbers(seed: int) -> Iterator[str]:
    """Yield valid ten-digit test numbers, all different, in an order that the seed decides."""
    start = Random(f"{seed}:numbers").randrange(_STEMS)
    for step in range(_STEMS):
        stem = f"999{(start + step * _STEP) % _STEMS:06d}"
        digit = check_digit(stem)
        if digit != _NO_DIGIT:
            yield f"{stem}{digit}"


def person(random: Random, number: str, mrn: str, birth: datetime, male: float) -> Person:
    """Draw a child's name, sex, ethnic category and address."""
    gender = "male" if random.random() < male else "female"
    return Person(
        number,
        mrn,
        random.choice(tables.names("family")),
        random.choice(tables.names(gender)),
        birth,
        gender,
        random.choice(tables.names("ethnic")),
        f"{random.randint(1, 99)} {random.choice(tables.names('street'))}",
        random.choice(tables.names("town")),
    )


def surgeons(ods: str) -> tuple[Surgeon, ...]:
    """Return a hospital's surgeons, always the same."""
    place = next(place for place, each in enumerate(tables.hospitals()) if each.ods == ods)
    given = tables.names("female") + tables.names("male")
    return tuple(
        Surgeon(f"99{place:02d}0{turn:02d}", family, given[(place * 3 + turn) % len(given)])
        for turn, family in enumerate(tables.names("surgeon"), start=1)
    )
