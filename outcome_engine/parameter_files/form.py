"""The form that every signed file of parameters has, whatever its kind, and the values in it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from types import MappingProxyType
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainValidator

from outcome_engine.parameter_files.signature import RefusedError
from r4.json import Resource

_UNSIGNED = {"signed-on": "1970-01-01", "jws": "none"}
_NUMBER = re.compile(r"-?\d{1,9}(\.\d{1,12})?\Z", re.ASCII)
_DAY = re.compile(r"\d{4}-\d\d-\d\d\Z", re.ASCII)


def _number(value: object) -> Fraction:
    if not isinstance(value, str) or not _NUMBER.match(value):
        text = "a number is text: digits, at most 9 before and 12 after the point, as '-0.125'"
        raise ValueError(text)
    return Fraction(value)


def _day(value: object) -> date:
    if not isinstance(value, str) or not _DAY.match(value):
        raise ValueError("a day is text, as '2026-01-31'")
    return date.fromisoformat(value)


def _hyphenated(name: str) -> str:
    return name.replace("_", "-")


Text = Annotated[str, Field(min_length=1)]
Code = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,63}$")]
Number = Annotated[Fraction, PlainValidator(_number)]
"""An exact number: a decimal written as text, so that no reader rounds it."""
Day = Annotated[date, PlainValidator(_day)]


class Part(BaseModel):
    """A part of a file: nothing that is not named, names with hyphens, never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, alias_generator=_hyphenated)


class Coding(Part):
    """A code of a code system, with its name for the reader."""

    system: Text
    code: Text
    display: str = ""


@dataclass(frozen=True, slots=True)
class CodeList:
    """Codes that a definition asks for: (system, code) pairs, and value sets by their url."""

    codes: frozenset[tuple[str, str]] = frozenset()
    value_sets: tuple[str, ...] = ()


class Codes(Part):
    """The form of a list of codes: the codes themselves, value sets, or both; never empty."""

    codes: list[Coding] = []
    value_sets: list[Text] = []

    def listed(self) -> CodeList:
        """Return the list as a definition asks for it."""
        pairs = frozenset((each.system, each.code) for each in self.codes)
        return CodeList(pairs, tuple(self.value_sets))


class SignatureMember(Part):
    """The member `signature`: the day it was signed on, and the detached JWS."""

    signed_on: Day
    jws: Text


class Form(Part):
    """What every kind of file says of itself; a kind adds `parameters` and, mostly, `checks`.

    measure: canonical `url|version`. fictitious: the values are made up for a test or a
    demonstration. The file is for dates of report from valid_from to valid_until, both included.
    """

    kind: Text
    measure: Annotated[str, Field(pattern=r"^[^|]+\|[^|]+$")]
    version: Annotated[str, Field(pattern=r"^\d{1,6}\.\d{1,6}\.\d{1,6}$")]
    title: Text
    description: Text
    fictitious: bool
    valid_from: Day
    valid_until: Day
    signature: SignatureMember

    def objections(self) -> Iterable[RefusedError]:
        """Yield why a file that has its form is not to be computed with, as checks that fail."""
        if self.valid_until < self.valid_from:
            yield RefusedError("inconsistent", "ends to be valid before it begins")
        if self.fictitious and "fictitious" not in self.title.lower():
            text = "is fictitious, and does not say so in its title"
            yield RefusedError("inconsistent", text)

    def literals(self) -> Mapping[str, str]:
        """Map each name that a definition may use as `%name` to a FHIRPath literal."""
        return MappingProxyType({})

    def code_lists(self) -> Mapping[str, CodeList]:
        """Map each name that a definition may use as `memberOf('#name')` to its codes."""
        return MappingProxyType({})

    def scoring_facts(self) -> tuple[tuple[str, str], ...]:
        """Return the facts, as (id, expression), that a score adds to its definition's."""
        return ()


F = TypeVar("F", bound=Form)


def unsigned(form: type[F], given: Resource) -> F:
    """Read a file that may not be signed yet; raises ValueError for what it lacks or contradicts.

    For looking at it: what may be computed with is found by `Parameters.of_kind`.
    """
    found = form.model_validate({"signature": _UNSIGNED, **given})
    objections = list(found.objections())
    if objections:
        raise ValueError("; ".join(f"the file {each.text}" for each in objections))
    return found


def unique(names: Iterable[str], what: str) -> None:
    """Raise ValueError where a name stands twice."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"{what} {name!r} stands twice")
        seen.add(name)


def plain(values: Mapping[str, Any]) -> str:
    """Write values for a sentence: `a 1, b 2`."""
    return ", ".join(f"{name} {value}" for name, value in values.items())
