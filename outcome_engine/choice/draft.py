"""From estimates to a parameter file of the Treatment Success Score that is not signed yet.

Choices give the coefficients and their covariance. All else that a parameter file must hold is a
decision (horizon, instrument, what is minor and major, cut-points) and comes from a template: a
parameter file without `stakeholder-group`, `coefficients`, `covariance` and `signature`, whose checks
name levels alone. Nothing is filled in: what is missing is named.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from statistics import NormalDist
from typing import Any

import numpy as np

from outcome_engine.choice.estimation import Estimate
from outcome_engine.methods import treatment_success as method
from outcome_engine.parameter_files.treatment_success import TreatmentSuccessFile
from outcome_engine.parameter_files.treatment_success_form import Parameters, whole
from r4.json import Resource

_DECIMALS = 12
_Z95 = NormalDist().inv_cdf(0.975)
_UNSIGNED = {"signed-on": "1970-01-01", "jws": "none"}


def estimates(estimate: Estimate) -> dict[str, Any]:
    """Write estimates as JSON has them: numbers are decimals as text, as parameter files have them."""
    return {
        "model": estimate.model,
        "group": estimate.group,
        "draws": estimate.draws,
        "log-likelihood": _text(estimate.log_likelihood),
        "coefficients": [
            {"name": name, "value": _text(value)}
            for name, value in zip(estimate.names, estimate.coefficients, strict=True)
        ],
        "covariance": [[_text(value) for value in row] for row in estimate.covariance],
        "sd": {name: _text(value) for name, value in estimate.sd.items()},
    }


def draft(said: Mapping[str, Any], template: Resource, decimals: int = 6) -> Resource:
    """Make a parameter file of `estimates` and a template; its checks are computed, for review.

    Coefficients are rounded to decimals, since scores are computed in integers of 64 bits. Raises
    ValueError that says what the template lacks, or where the two do not fit each other.
    """
    given = template.get("parameters")
    if not isinstance(given, dict):
        raise ValueError("the template has no `parameters`")  # noqa: TRY004 - of a file
    taken = [name for name in ("stakeholder-group", "coefficients", "covariance") if name in given]
    if taken:
        raise ValueError(f"the template has {', '.join(taken)}: these come from the estimates")
    parameters = {
        "stakeholder-group": said["group"],
        "coefficients": [
            {"name": each["name"], "value": _text(each["value"], decimals)}
            for each in said["coefficients"]
        ],
        "covariance": said["covariance"],
        **given,
    }
    read = Parameters.model_validate(parameters)
    checks = [_check(read, each.get("levels", {})) for each in template.get("checks", [])]
    file = {
        **{name: value for name, value in template.items() if name != "signature"},
        "parameters": parameters,
        "checks": checks,
    }
    found = TreatmentSuccessFile.model_validate({**file, "signature": _UNSIGNED})
    objections = list(found.objections())
    if objections:
        raise ValueError("; ".join(f"the file {each.text}" for each in objections))
    return file


@dataclass(frozen=True, slots=True)
class Anchored:
    """A coefficient on the score's scale, on which best is 1 and palliation 0; 95% by delta method."""

    name: str
    value: float
    lower: float
    upper: float


def anchored(file: Resource) -> list[Anchored]:
    """Return what each coefficient of a file is worth on the score's scale.

    The uncertainty is that of the coefficient and of the span between the anchors together. Raises
    ValueError for parameters that are none.
    """
    given = Parameters.model_validate(file["parameters"])
    best = given.anchor(given.anchors.best)
    palliation = given.anchor(given.anchors.palliation)
    beta = np.array([float(value) for value in given.values.values()])
    apart = np.array(
        [float(best.get(name, 0)) - float(palliation.get(name, 0)) for name in given.values]
    )
    covariance = np.array([[float(value) for value in row] for row in given.covariance])
    span = float(apart @ beta)
    found = []
    for number, name in enumerate(given.values):
        value = float(beta[number]) / span
        gradient = -value / span * apart
        gradient[number] += 1 / span
        error = float(np.sqrt(max(0.0, gradient @ covariance @ gradient)))
        found.append(Anchored(name, value, value - _Z95 * error, value + _Z95 * error))
    return found


def _check(read: Parameters, levels: Mapping[str, str]) -> dict[str, Any]:
    exact = {name: Fraction(value) for name, value in levels.items()}
    utility = read.utility(read.weights(exact))
    scored = read.scoring.score({name: whole(name, value) for name, value in exact.items()})
    return {
        "levels": dict(levels),
        "utility": str(utility),
        "score": str(method.score(utility, read.best, read.palliation)),
        "good": scored.good,
        "light": scored.light,
    }


def _text(value: float | str, decimals: int = _DECIMALS) -> str:
    text = f"{Decimal(value):.{decimals}f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
