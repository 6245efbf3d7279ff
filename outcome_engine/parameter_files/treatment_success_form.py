"""The form of the Treatment Success Score's parameters, and what they make of an outcome.

Allin et al., Arch Dis Child 2024;109:377-386, doi 10.1136/archdischild-2023-326156: four domains of
a child's outcome, seven attributes. None of the study's values is known here, so none is given.
"""

from collections.abc import Iterable, Mapping
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from types import MappingProxyType
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from outcome_engine.methods import treatment_success as method
from outcome_engine.methods.treatment_success import MICRO, Level, Scoring, Term
from outcome_engine.parameter_files.form import Code, Codes, Coding, Number, Part, Text, unique

ATTRIBUTES = (
    "planned-minor",
    "planned-major",
    "emergency-minor",
    "emergency-major",
    "infections",
    "quality-of-life",
    "survival",
)
"""Operations and infections are counted, survival is in days, quality of life in its own units."""
UNITS = MappingProxyType({name: MICRO if name == "quality-of-life" else 1 for name in ATTRIBUTES})
"""Into how many parts one unit of an attribute is divided where it is recorded."""


def _attribute(name: str) -> str:
    if name not in ATTRIBUTES:
        raise ValueError(f"{name!r} is none of the attributes: {', '.join(ATTRIBUTES)}")
    return name


Attribute = Annotated[str, AfterValidator(_attribute)]
_SPAN = Annotated[int, Field(gt=0, le=36525)]


def whole(attribute: str, value: Fraction) -> int:
    """Return a level in the units that it is recorded in; raises ValueError for a part of one."""
    found = value * UNITS[attribute]
    if found.denominator > 1:
        raise ValueError(f"{attribute} {value} is no value that can be recorded")
    return int(found)


def all_once(names: Iterable[str], what: str) -> None:
    """Raise ValueError unless each attribute is named exactly once."""
    if sorted(names) != sorted(ATTRIBUTES):
        raise ValueError(f"{what} must name each once: {', '.join(ATTRIBUTES)}")


class Coefficient(Part):
    """One estimate of the choice model, by the name that attributes and anchors use."""

    name: Code
    value: Number


class Linear(Part):
    """An attribute whose utility is `coefficient` for every `per` units, within its range.

    A value outside of minimum to maximum counts as the nearer of the two.
    """

    name: Attribute
    form: Literal["linear"]
    coefficient: Code
    per: Number
    minimum: Number
    maximum: Number

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.per <= 0 or self.minimum >= self.maximum:
            raise ValueError(f"{self.name}: per is above 0, and minimum below maximum")
        return self

    def weights(self, value: Fraction) -> dict[str, Fraction]:
        """Return how often each coefficient counts for a value."""
        return {self.coefficient: min(max(value, self.minimum), self.maximum) / self.per}


class LevelFrom(Part):
    """A level of an attribute: it holds from a value on; the level of reference has no coefficient."""

    start: Annotated[Number, Field(alias="from")]
    coefficient: Code | None = None


class Step(Part):
    """An attribute in levels: the last one whose `from` is reached counts, else the first."""

    name: Attribute
    form: Literal["step"]
    levels: Annotated[list[LevelFrom], Field(min_length=1)]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        starts = [level.start for level in self.levels]
        if any(a >= b for a, b in pairwise(starts)):
            raise ValueError(f"{self.name}: the levels do not ascend")
        return self

    def weights(self, value: Fraction) -> dict[str, Fraction]:
        """Return how often each coefficient counts for a value."""
        reached = [level for level in self.levels if value >= level.start] or self.levels[:1]
        name = reached[-1].coefficient
        return {} if name is None else {name: Fraction(1)}


class Anchor(Part):
    """A state between which the scale is spanned: levels of all attributes, constants, or both."""

    levels: dict[Attribute, Number]
    constants: list[Code]


class Anchors(Part):
    """The best outcome, which scores 1, and palliation, which scores 0."""

    best: Anchor
    palliation: Anchor


class Horizon(Part):
    """How long after the case opens survival, and all else, is counted; and who counts as alive.

    seen: whoever has a record on or after the last day; not-known-dead: whoever has no death.
    """

    value: _SPAN
    unit: Literal["days", "months", "years"]
    alive: Literal["seen", "not-known-dead"]


class QualityOfLife(Part):
    """The Observation whose value is the level; the last within the horizon counts.

    after_death: the level of a child who died within the horizon, not negative; None: what was
    measured before counts, if anything was.
    """

    instrument: Coding
    rule: Text
    after_death: Number | None

    @model_validator(mode="after")
    def _recordable(self) -> Self:
        if self.after_death is not None:
            if self.after_death < 0:
                raise ValueError("after-death must not be negative")
            whole("quality-of-life", self.after_death)
        return self


class Operations(Part):
    """Which operations are minor and major, and what is one operation; what is in neither is none.

    An operation that is in both is major. counted_by day: all of one day and urgency are one
    operation, major if any of them is.
    """

    rule: Text
    minor: Codes
    major: Codes
    counted_by: Literal["procedure", "day"]
    urgency_not_recorded: Literal["planned", "emergency", "not-known"]


class Infections(Part):
    """Which records are infections, related to the condition, that were treated in hospital.

    diagnoses: of Conditions, one infection an encounter; observations: of Observations that say that
    one was treated, one infection a day. Whoever signs sees to it that no infection is in both.
    """

    rule: Text
    diagnoses: Codes
    observations: Codes


class Missing(Part):
    """What is done where an attribute is not known: the outcome is not known, or a level is assumed."""

    attribute: Attribute
    rule: Literal["not-known", "assume"]
    value: Number | None = None
    reason: Text

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.rule == "assume") != (self.value is not None):
            raise ValueError(
                f"{self.attribute}: a value is given where one is assumed, and only then"
            )
        if self.value is not None:
            whole(self.attribute, self.value)
        return self


class TrafficLight(Part):
    """The least scores that are amber and green; below amber is red."""

    amber: Number
    green: Number


class Cuts(Part):
    """The least score that is good, and those of the traffic light; a tie is in the better class."""

    good: Number
    traffic_light: TrafficLight

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.traffic_light.amber >= self.traffic_light.green:
            raise ValueError("amber must begin below green")
        return self


class Parameters(Part):
    """The parameters themselves; their names are those of the Measure's `outcome-parameters`."""

    stakeholder_group: Literal["lived-experience", "professionals", "public"]
    coefficients: Annotated[list[Coefficient], Field(min_length=1)]
    covariance: list[list[Number]]
    attributes: list[Annotated[Linear | Step, Field(discriminator="form")]]
    anchors: Anchors
    survival_horizon: Horizon
    quality_of_life_scaling: QualityOfLife
    minor_major_definition: Operations
    infection_definition: Infections
    missing_data_rule: list[Missing]
    cut_points: Cuts

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        unique((each.name for each in self.coefficients), "the coefficient")
        method.factor(self.covariance, len(self.coefficients))
        all_once([each.name for each in self.attributes], "attributes")
        all_once([each.attribute for each in self.missing_data_rule], "missing-data-rule")
        for anchor in (self.anchors.best, self.anchors.palliation):
            if anchor.levels or not anchor.constants:
                all_once(list(anchor.levels), "anchors: levels")
        unknown = set(self._named()) ^ {each.name for each in self.coefficients}
        if unknown:
            raise ValueError(f"named without a value, or never used: {', '.join(sorted(unknown))}")
        if self.best <= self.palliation:
            raise ValueError("the best outcome must have a greater utility than palliation")
        self.scoring  # noqa: B018 - raises where the integers do not fit
        return self

    def _named(self) -> Iterable[str]:
        for attribute in self.attributes:
            if isinstance(attribute, Linear):
                yield attribute.coefficient
            else:
                yield from (level.coefficient for level in attribute.levels if level.coefficient)
        yield from self.anchors.best.constants + self.anchors.palliation.constants

    @cached_property
    def values(self) -> Mapping[str, Fraction]:
        """Map each coefficient to its value, in the order of the covariance."""
        return {each.name: each.value for each in self.coefficients}

    def weights(self, levels: Mapping[str, Fraction]) -> dict[str, Fraction]:
        """Return how often each coefficient counts in an outcome, in an attribute's own units."""
        found: dict[str, Fraction] = {}
        for attribute in self.attributes:
            if attribute.name in levels:
                for name, times in attribute.weights(levels[attribute.name]).items():
                    found[name] = found.get(name, Fraction(0)) + times
        return found

    def anchor(self, which: Anchor) -> dict[str, Fraction]:
        """Return how often each coefficient counts in an anchor."""
        found = self.weights(which.levels)
        for name in which.constants:
            found[name] = found.get(name, Fraction(0)) + 1
        return found

    def utility(self, weights: Mapping[str, Fraction]) -> Fraction:
        """Return the utility of what coefficients count, exactly."""
        return sum((self.values[name] * times for name, times in weights.items()), Fraction(0))

    @cached_property
    def best(self) -> Fraction:
        """The utility of the best outcome."""
        return self.utility(self.anchor(self.anchors.best))

    @cached_property
    def palliation(self) -> Fraction:
        """The utility of palliation."""
        return self.utility(self.anchor(self.anchors.palliation))

    @cached_property
    def scoring(self) -> Scoring:
        """The same in integers; raises ValueError where they would not fit into 64 bits."""
        light = self.cut_points.traffic_light
        return method.scoring(
            [self._term(each) for each in self.attributes],
            self.best,
            self.palliation,
            good=self.cut_points.good,
            amber=light.amber,
            green=light.green,
        )

    def _term(self, attribute: Linear | Step) -> Term:
        unit = UNITS[attribute.name]
        if isinstance(attribute, Linear):
            slope = self.values[attribute.coefficient] / attribute.per / unit
            ends = (attribute.minimum * unit, attribute.maximum * unit)
            return Term(attribute.name, ends[0], ends[1], slope)
        levels = [
            Level(
                each.start * unit,
                self.values[each.coefficient] if each.coefficient else Fraction(0),
            )
            for each in attribute.levels
        ]
        return Term(attribute.name, levels=tuple(levels))
