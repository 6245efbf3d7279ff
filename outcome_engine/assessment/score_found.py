"""A child's score as it is told: how close to which cut, how sure its classes, and what was assumed."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from outcome_engine import civil
from outcome_engine.methods.preference_draws import Probabilities
from outcome_engine.methods.treatment_success import MICRO, Light
from outcome_engine.parameter_files.parameter_file import ParameterFile
from outcome_engine.parameter_files.treatment_success import TreatmentSuccessFile
from outcome_engine.parameter_files.treatment_success_form import UNITS


@dataclass(frozen=True, slots=True)
class Cut:
    """A cut, and how far above it the score lies (below it: negative), to six decimals."""

    name: str
    at: Decimal
    distance: Decimal


@dataclass(frozen=True, slots=True)
class ScoreFound:
    """A score to six decimals, its classes, the cuts (good, amber, green), and how sure the classes are.

    assumed: the attributes that were not known, with the level that the parameters assume instead.
    """

    value: Decimal
    good: bool
    light: Light
    cuts: tuple[Cut, ...]
    probabilities: Probabilities
    assumed: Mapping[str, Decimal]

    @property
    def micro(self) -> int:
        """Return the score in millionths."""
        return int(self.value * MICRO)

    @property
    def nearest(self) -> Cut:
        """Return the cut that the score is closest to."""
        return min(self.cuts, key=lambda cut: abs(cut.distance))


def found(
    file: ParameterFile[TreatmentSuccessFile], values: Mapping[str, Any]
) -> ScoreFound | None:
    """Return the score of attributes as recorded; None where it cannot be known."""
    scored = file.content.scored(values)
    probabilities = file.content.probabilities(values)
    if scored is None or probabilities is None:
        return None
    given = file.content.parameters
    cuts = {
        "good": given.cut_points.good,
        "amber": given.cut_points.traffic_light.amber,
        "green": given.cut_points.traffic_light.green,
    }
    value = Decimal(scored.micro) / MICRO
    return ScoreFound(
        value=_six(value),
        good=scored.good,
        light=scored.light,
        cuts=tuple(
            Cut(name, _decimal(at), _six(value - _decimal(at))) for name, at in cuts.items()
        ),
        probabilities=probabilities,
        assumed={
            rule.attribute: _decimal(rule.value)
            for rule in given.missing_data_rule
            if rule.value is not None and values[rule.attribute] is None
        },
    )


def statement(
    file: ParameterFile[TreatmentSuccessFile],
    values: Mapping[str, Any],
    titles: Mapping[str, str],
    score: ScoreFound | None,
    due_on: str | None,
    *,
    due: bool,
) -> str:
    """Say in sentences what the score is and of what it is made, or what it waits for."""
    said = _known(values, titles, score) if score else _unknown(file, values, titles, due_on, due)
    if file.fictitious:
        said.append(
            f"Illustrative only: the parameters (version {file.version}) are fictitious, and this "
            "result says nothing about the child."
        )
    return " ".join(said)


def _known(values: Mapping[str, Any], titles: Mapping[str, str], score: ScoreFound) -> list[str]:
    nearest = score.nearest
    side = "above" if nearest.distance > 0 else "below" if nearest.distance < 0 else "at"
    away = f"{abs(nearest.distance):f} {side}" if nearest.distance else "exactly at"
    good, light = score.cuts[0], score.light
    likely = {"red": score.probabilities.red, "amber": score.probabilities.amber}
    likely["green"] = score.probabilities.green
    is_good = score.probabilities.good
    parts = [
        f"{titles[name].lower()} {_shown(name, value)}"
        for name, value in values.items()
        if value is not None
    ]
    found = [
        f"Treatment Success Score {score.value:f}: {'good' if score.good else 'not good'} "
        f"({good.at:f} and over is good), {light}; {away} the cut of {nearest.name}.",
        f"Of {score.probabilities.draws} draws of the preferences {_percent(is_good)} are good, and "
        f"{', '.join(f'{_percent(share)} {name}' for name, share in likely.items())}.",
        f"Made of: {', '.join(parts)}.",
    ]
    if score.assumed:
        assumed = [f"{titles[name].lower()} ({level:f})" for name, level in score.assumed.items()]
        found.append(f"Not recorded, and assumed by the missing data rule: {', '.join(assumed)}.")
    return found


def _unknown(
    file: ParameterFile[TreatmentSuccessFile],
    values: Mapping[str, Any],
    titles: Mapping[str, str],
    due_on: str | None,
    due: bool,
) -> list[str]:
    if not due:
        return [f"Not due before {civil.said(due_on)}."]
    rules = file.content.parameters.missing_data_rule
    missing = [
        titles[rule.attribute].lower()
        for rule in rules
        if rule.value is None and values[rule.attribute] is None
    ]
    return [f"Due since {civil.said(due_on)}. Missing: {'; '.join(missing)}."]


def _shown(name: str, value: int) -> str:
    return f"{(Decimal(value) / UNITS[name]).normalize():f}"


def _percent(share: Fraction) -> str:
    return f"{float(share):.1%}"


def _decimal(value: Fraction) -> Decimal:
    return Decimal(value.numerator) / Decimal(value.denominator)


def _six(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.000001"))
