"""The parameter file of the Treatment Success Score: what it computes, and the facts it gives.

The facts are expressions in the language of definitions, over integers: every back end computes
the same score and the same class from them (docs/parameters.md).
"""

from collections.abc import Iterable, Mapping
from fractions import Fraction
from functools import cached_property
from types import MappingProxyType
from typing import Annotated, Literal, Self

from pydantic import Field, PlainValidator, model_validator

from outcome_engine.methods import treatment_success as method
from outcome_engine.methods.preference_draws import (
    Contrast,
    Probabilities,
    deviations,
    probabilities,
    scores,
)
from outcome_engine.methods.treatment_success import MICRO, IntegerTerm, Scored, Scoring
from outcome_engine.parameter_files.form import CodeList, Form, Number, Part
from outcome_engine.parameter_files.signature import RefusedError
from outcome_engine.parameter_files.treatment_success_form import (
    UNITS,
    Attribute,
    Parameters,
    all_once,
    whole,
)

_CHECKED = ("utility", "score", "good", "light")


def _fraction(value: object) -> Fraction:
    if not isinstance(value, str):
        raise ValueError("a score is text: a decimal, or a fraction as '5/8'")  # noqa: TRY004
    return Fraction(value)


Exact = Annotated[Fraction, PlainValidator(_fraction)]


class Check(Part):
    """An outcome with the utility, score and classes that the signatories expect of it, exactly."""

    levels: dict[Attribute, Number]
    utility: Exact
    score: Exact
    good: bool
    light: Literal["red", "amber", "green"]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        all_once(self.levels, "levels")
        for name, value in self.levels.items():
            whole(name, value)
        return self


class TreatmentSuccessFile(Form):
    """A parameter file of the Treatment Success Score."""

    kind: Literal["treatment-success-score"]
    parameters: Parameters
    checks: Annotated[list[Check], Field(min_length=1)]

    def objections(self) -> Iterable[RefusedError]:
        """Yield also the checks that the engine does not reproduce."""
        yield from super().objections()
        given = self.parameters
        for number, check in enumerate(self.checks):
            utility = given.utility(given.weights(check.levels))
            scored = self.compiled().score({n: whole(n, v) for n, v in check.levels.items()})
            exact = method.score(utility, given.best, given.palliation)
            wanted = (check.utility, check.score, check.good, check.light)
            computed = (utility, exact, scored.good, scored.light)
            for what, one, other in zip(_CHECKED, wanted, computed, strict=True):
                if one != other:
                    text = f"expects {what} {one} in checks[{number}], but {other} is computed"
                    yield RefusedError("check-not-reproduced", text)

    def compiled(self) -> Scoring:
        """Return the score as integers on one scale."""
        return self.parameters.scoring

    def levels(self, values: Mapping[str, int | None]) -> Mapping[str, int] | None:
        """Return attributes as recorded with those that are missing assumed, None where none may be."""
        found = {}
        for rule in self.parameters.missing_data_rule:
            value = values[rule.attribute]
            if value is None and rule.value is not None:
                value = whole(rule.attribute, rule.value)
            if value is None:
                return None
            found[str(rule.attribute)] = value
        return found

    def scored(self, values: Mapping[str, int | None]) -> Scored | None:
        """Score attributes as recorded; None where the missing data rule leaves the outcome unknown."""
        levels = self.levels(values)
        return None if levels is None else self.compiled().score(levels)

    def probabilities(self, values: Mapping[str, int | None]) -> Probabilities | None:
        """Return how sure a child's classes are under the covariance of the coefficients."""
        mine = self._weights(values)
        if mine is None:
            return None
        cuts = self.parameters.cut_points
        best, palliation = self._anchors

        def above(cut: Fraction) -> Contrast:
            return self._contrast((mine, 1), (best, -cut), (palliation, cut - 1))

        return probabilities(
            self._drawn,
            self._span,
            good=above(cuts.good),
            amber=above(cuts.traffic_light.amber),
            green=above(cuts.traffic_light.green),
        )

    def drawn_scores(self, values: Mapping[str, int | None]) -> list[float] | None:
        """Return a child's score in each draw of the coefficients, NaN where a draw has no scale.

        None where the missing data rule leaves the outcome unknown.
        """
        mine = self._weights(values)
        if mine is None:
            return None
        above_palliation = self._contrast((mine, 1), (self._anchors[1], -1))
        return scores(self._drawn, self._span, above_palliation)

    def _weights(self, values: Mapping[str, int | None]) -> Mapping[str, Fraction] | None:
        levels = self.levels(values)
        if levels is None:
            return None
        return self.parameters.weights({n: Fraction(v, UNITS[n]) for n, v in levels.items()})

    @property
    def _anchors(self) -> tuple[Mapping[str, Fraction], Mapping[str, Fraction]]:
        """Return the weights of the best outcome, and of palliation."""
        given = self.parameters
        return given.anchor(given.anchors.best), given.anchor(given.anchors.palliation)

    @property
    def _span(self) -> Contrast:
        best, palliation = self._anchors
        return self._contrast((best, 1), (palliation, -1))

    def _contrast(self, *parts: tuple[Mapping[str, Fraction], Fraction | int]) -> Contrast:
        weights = {
            name: sum((part.get(name, Fraction(0)) * times for part, times in parts), Fraction(0))
            for name in self.parameters.values
        }
        places = ((at, float(times)) for at, times in enumerate(weights.values()) if times)
        return Contrast(self.parameters.utility(weights), tuple(places))

    @cached_property
    def _drawn(self) -> list[tuple[float, ...]]:
        return deviations(self.parameters.covariance)

    def literals(self) -> Mapping[str, str]:
        """Map `parameter-…` names to what the definition asks of the parameters."""
        given = self.parameters
        horizon, life = given.survival_horizon, given.quality_of_life_scaling
        dead = life.after_death
        operations = given.minor_major_definition
        return MappingProxyType(
            {
                "parameter-horizon": f"{horizon.value} {horizon.unit}",
                "parameter-alive": f"'{horizon.alive}'",
                "parameter-counted-by": f"'{operations.counted_by}'",
                "parameter-urgency-not-recorded": f"'{operations.urgency_not_recorded}'",
                "parameter-life-after-death-is-given": "false" if dead is None else "true",
                "parameter-life-after-death": _decimal(dead or Fraction(0)),
            }
        )

    def code_lists(self) -> Mapping[str, CodeList]:
        """Map the names of the lists of codes that the definition asks for to the codes."""
        given = self.parameters
        instrument = given.quality_of_life_scaling.instrument
        return MappingProxyType(
            {
                "minor": given.minor_major_definition.minor.listed(),
                "major": given.minor_major_definition.major.listed(),
                "infection-diagnosis": given.infection_definition.diagnoses.listed(),
                "infection-observation": given.infection_definition.observations.listed(),
                "quality-of-life": CodeList(frozenset({(instrument.system, instrument.code)})),
            }
        )

    def scoring_facts(self) -> tuple[tuple[str, str], ...]:
        """Return the facts that follow the attributes: utilities, `score` and the classes."""
        assumed = {
            rule.attribute: whole(rule.attribute, rule.value)
            for rule in self.parameters.missing_data_rule
            if rule.value is not None
        }
        return tuple(_facts(self.compiled(), assumed))


UNKNOWN: tuple[Mapping[str, str], Mapping[str, CodeList], tuple[tuple[str, str], ...]] = (
    MappingProxyType(
        {
            "parameter-horizon": "1 years",
            "parameter-alive": "''",
            "parameter-counted-by": "''",
            "parameter-urgency-not-recorded": "''",
            "parameter-life-after-death-is-given": "false",
            "parameter-life-after-death": "0.0",
        }
    ),
    MappingProxyType(
        dict.fromkeys(
            ("minor", "major", "infection-diagnosis", "infection-observation", "quality-of-life"),
            CodeList(),
        )
    ),
    (
        ("score", "iif(false, 0)"),
        ("score-good", "iif(false, true)"),
        ("score-light", "iif(false, '')"),
    ),
)
"""What stands for literals, lists of codes and facts while the parameters are not known: no score."""


def _facts(scoring: Scoring, assumed: Mapping[str, int]) -> Iterable[tuple[str, str]]:
    for term in scoring.terms:
        name = f"%`{term.id}`"
        value = assumed.get(term.id)
        level = name if UNITS[term.id] == 1 else f"({name} * {UNITS[term.id]}).truncate()"
        known = level if value is None else f"iif({name}.exists(), {level}, {_integer(value)})"
        yield f"level-{term.id}", known
        yield f"utility-{term.id}", _utility(term, f"%`level-{term.id}`")
    yield "utility", " + ".join(f"%`utility-{term.id}`" for term in scoring.terms)
    span = scoring.best - scoring.palliation
    constant = scoring.shift * span - scoring.palliation * MICRO
    yield "score-dividend", f"%utility * {MICRO} + {_integer(constant)}"
    yield "score-quotient", f"%`score-dividend` div {span}"
    yield "score-twice-remainder", f"(%`score-dividend` mod {span}) * 2"
    half = f"%`score-twice-remainder` = {span} and %`score-quotient` mod 2 = 1"
    up = f"iif(%`score-twice-remainder` > {span} or ({half}), 1, 0)"
    yield "score", f"%`score-quotient` + {up} - {scoring.shift}"
    yield "score-good", f"%utility >= {_integer(scoring.good)}"
    amber, green = _integer(scoring.amber), _integer(scoring.green)
    better = f"iif(%utility >= {amber}, 'amber', iif(%utility < {amber}, 'red'))"
    yield "score-light", f"iif(%utility >= {green}, 'green', {better})"


def _utility(term: IntegerTerm, level: str) -> str:
    if not term.steps:
        low, high = _integer(term.minimum), _integer(term.maximum)
        held = f"iif({level} < {low}, {low}, iif({level} > {high}, {high}, {level}))"
        return f"{held} * {_integer(term.slope)}"
    first, *others = term.steps
    text = f"{level} * 0 + {_integer(first[1])}"
    for start, utility in others:
        text = f"iif({level} >= {_integer(start)}, {_integer(utility)}, {text})"
    return text


def _decimal(value: Fraction) -> str:
    units, parts = divmod(whole("quality-of-life", value), MICRO)
    return f"{units}.{parts:06}"


def _integer(value: int) -> str:
    return str(value) if value >= 0 else f"(0 - {-value})"
