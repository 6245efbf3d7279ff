"""Fit a case-mix model to outcome rows, and write it down as a file that is not signed yet."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from typing import Any, Literal

import numpy as np
from scipy.special import expit

from outcome_engine.case_mix.factors import require_baseline
from outcome_engine.case_mix.model import Category, Fact, Factor, Model, Quantity, Value, read
from outcome_engine.case_mix.rows import Rows
from outcome_engine.methods.calibration import calibration
from outcome_engine.methods.discrimination import c_statistic
from outcome_engine.methods.firth import firth
from outcome_engine.methods.glmm import random_intercept
from outcome_engine.methods.logistic import Matrix, NotEstimableError, Vector, logistic
from r4.json import Resource

Method = Literal["ridge", "firth", "random-intercept"]
METHODS: tuple[Method, ...] = ("ridge", "firth", "random-intercept")
FOLDS = 10
PENALTIES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""Ridges among which the likelihood of children held out decides, where none is given."""
_LEAST_EVENTS = 10
_DECIMALS = 12
_CHANCES = 6


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a factor is to be taken: form and unit; None lets its values decide, a unit is 1."""

    id: str
    form: Literal["fact", "category", "number", "square"] | None = None
    unit: int = 1
    missing: Literal["refuse", "indicator"] = "indicator"


@dataclass(frozen=True, slots=True)
class Head:
    """What a file says of itself; `measure` is a canonical with its version."""

    measure: str
    version: str
    title: str
    description: str
    event: str
    start: date
    until: date
    valid_from: date
    valid_until: date
    fictitious: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class _Fitted:
    coefficients: Vector
    covariance: Matrix
    sd: float | None


def fit(
    rows: Rows, wanted: Sequence[Wanted], method: Method, head: Head, penalty: float | None = None
) -> Resource:
    """Fit a model to those whose outcome is known, and return its file, unsigned.

    Raises FhirError 422 for a factor that is no baseline factor, ValueError for one that the rows do
    not have or that does not vary, and NotEstimableError where the children are too few.
    """
    require_baseline(each.id for each in wanted)
    settled = rows.known()
    said = [_said(each, settled) for each in wanted]
    factors = [_factor(each) for each in said]
    children = settled.taken(
        [at for at, given in enumerate(settled.each()) if _is_known(factors, given)]
    )
    events = children.event.count(True)
    if min(events, len(children.child) - events) < _LEAST_EVENTS:
        raise NotEstimableError(
            f"{events} of {len(children.child)} children had the event: with fewer than "
            f"{_LEAST_EVENTS} on either side no model is fitted"
        )
    x, y = _design(factors, children), np.asarray(children.event, dtype=np.float64)
    folds = _folds(children.child)
    if method == "ridge" and penalty is None:
        penalty = max(PENALTIES, key=lambda each: _held_out_likelihood(x, y, folds, each))
    estimate = _estimator(method, penalty)
    fitted = estimate(x, y, children.hospital)
    model = {
        "method": method,
        "penalty": _text(penalty) if method == "ridge" else None,
        "hospital-sd": None if fitted.sd is None else _text(fitted.sd),
        "event": head.event,
        "factors": said,
        "coefficients": [
            {"name": name, "value": _text(value)}
            for name, value in zip(_names(factors), fitted.coefficients, strict=True)
        ],
        "covariance": [[_text(value) for value in row] for row in fitted.covariance],
        "development": {
            "from": head.start.isoformat(),
            "until": head.until.isoformat(),
            "children": len(children.child),
            "events": events,
            "hospitals": len(set(children.hospital)),
            "not-known": len(rows.child) - len(settled.child),
            "factor-missing": len(settled.child) - len(children.child),
        },
        **_performance(x, y, children, folds, fitted, estimate),
    }
    return _file(head, model)


_Estimate = Callable[[Matrix, Vector, Sequence[str]], _Fitted]


def _estimator(method: Method, penalty: float | None) -> _Estimate:
    def ridge(x: Matrix, y: Vector, _: Sequence[str]) -> _Fitted:
        found = logistic(x, y, ridge=penalty or 0.0)
        return _Fitted(found.coefficients, found.covariance, None)

    def unbiased(x: Matrix, y: Vector, _: Sequence[str]) -> _Fitted:
        found = firth(x, y)
        # Firth's chances lean to one half. The intercept is fitted anew, so that what is expected is
        # what was observed (FLIC: Puhr R et al., Stat Med 2017;36:2302-2317).
        slopes = x[:, 1:] @ found.coefficients[1:]
        intercept = logistic(np.ones((len(y), 1)), y, offset=slopes).coefficients
        return _Fitted(np.append(intercept, found.coefficients[1:]), found.covariance, None)

    def mixed(x: Matrix, y: Vector, hospital: Sequence[str]) -> _Fitted:
        found = random_intercept(x, y, hospital)
        return _Fitted(found.coefficients, found.covariance[:-1, :-1], found.sd)

    return {"ridge": ridge, "firth": unbiased, "random-intercept": mixed}[method]


def _said(wanted: Wanted, rows: Rows) -> dict[str, Any]:
    """Write a factor as the file has it; what is open is decided by its values."""
    if wanted.id not in rows.factors:
        have = ", ".join(sorted(rows.factors)) or "none"
        raise ValueError(f"the rows have no factor {wanted.id}; they have: {have}")
    values = [value for value in rows.factors[wanted.id] if value is not None]
    if len(set(values)) < 2:  # noqa: PLR2004 - one value explains nothing
        raise ValueError(f"factor {wanted.id} has one value or none: leave it out")
    is_missing = len(values) < len(rows.child)
    # Without a child of whom it is missing there is nothing to estimate an indicator by.
    rule = {"id": wanted.id, "missing": wanted.missing if is_missing else "refuse"}
    form = wanted.form or _form(values)
    if form == "fact":
        return rule | {"form": form}
    if form == "category":
        return rule | {"form": form, "values": _by_number(values)}
    return rule | {"form": "number", "square": form == "square"} | _scaled(values, wanted)


def _factor(said: dict[str, Any]) -> Factor:
    forms: dict[str, type[Fact | Category | Quantity]] = {
        "fact": Fact,
        "category": Category,
        "number": Quantity,
    }
    return forms[said["form"]].model_validate(said)


def _form(values: Sequence[Value]) -> str:
    if all(isinstance(value, bool) for value in values):
        return "fact"
    if any(isinstance(value, str) for value in values):
        return "category"
    return "number"


def _by_number(values: Sequence[Value]) -> list[str]:
    """List the values, the most frequent, which is the reference, first; then by name."""
    texts = [str(value) for value in values]
    names = sorted(set(texts))
    reference = max(names, key=texts.count)
    return [reference, *(name for name in names if name != reference)]


def _scaled(values: Sequence[Value], wanted: Wanted) -> dict[str, str]:
    try:
        numbers = np.array([float(value) for value in values if value is not None]) / wanted.unit
    except ValueError:
        raise ValueError(f"factor {wanted.id} holds what is no number") from None
    # The outermost hundredths, not the extremes: those are single children.
    least, greatest = np.quantile(numbers, (0.01, 0.99))
    scale = float(np.std(np.clip(numbers, least, greatest)))
    return {
        "centre": _text(round(float(np.mean(numbers)), 6)),
        "scale": _text(round(scale, 6) or 1.0),
        "unit": _text(wanted.unit),
        "minimum": _text(least),
        "maximum": _text(greatest),
    }


def _is_known(factors: Sequence[Factor], given: Mapping[str, Value]) -> bool:
    return all(each.terms(given[each.id]) is not None for each in factors)


def _names(factors: Sequence[Factor]) -> list[str]:
    return ["intercept", *(name for each in factors for name in each.names())]


def _design(factors: Sequence[Factor], rows: Rows) -> Matrix:
    """Build the design by the code that predicts: a column a coefficient."""
    column = {name: position for position, name in enumerate(_names(factors))}
    x = np.zeros((len(rows.child), len(column)))
    x[:, 0] = 1.0
    for row, given in enumerate(rows.each()):
        for each in factors:
            for name, times in (each.terms(given[each.id]) or {}).items():
                x[row, column[name]] = times
    return x


def _folds(children: Sequence[str]) -> Vector:
    """Deal the children into folds by their ids' digests: alike each time, by chance otherwise."""
    order = np.argsort([sha256(child.encode()).hexdigest() for child in children], kind="stable")
    fold = np.empty(len(children))
    fold[order] = np.arange(len(children)) % FOLDS
    return fold


def _held_out_likelihood(x: Matrix, y: Vector, folds: Vector, penalty: float) -> float:
    total = 0.0
    for fold in range(FOLDS):
        held = folds == fold
        predictor = x[held] @ logistic(x[~held], y[~held], ridge=penalty).coefficients
        total += float(y[held] @ predictor - np.logaddexp(0, predictor).sum())
    return total


def _performance(
    x: Matrix,
    y: Vector,
    children: Rows,
    folds: Vector,
    fitted: _Fitted,
    estimate: _Estimate,
) -> dict[str, Any]:
    apparent = c_statistic(y, _chances(x, fitted))
    held_out = _held_out(x, y, children, folds, estimate)
    found = None if held_out is None else calibration(y, held_out)
    return {
        "discrimination": {
            "apparent": _text(apparent.value, _CHANCES),
            "standard-error": _text(apparent.standard_error, _CHANCES),
            "cross-validated": None
            if held_out is None
            else _text(c_statistic(y, held_out).value, _CHANCES),
        },
        "calibration": {
            "intercept": None if found is None else _text(found.intercept, _CHANCES),
            "slope": None if found is None else _text(found.slope, _CHANCES),
            "groups": []
            if found is None
            else [
                {
                    "children": group.children,
                    "observed": group.observed,
                    "expected": _text(group.expected, _CHANCES),
                }
                for group in found.groups
            ],
        },
    }


def _held_out(
    x: Matrix, y: Vector, children: Rows, folds: Vector, estimate: _Estimate
) -> Vector | None:
    """Predict each fold by a model of the others; None where one of these cannot be estimated.

    None also without a factor: then nothing is told apart.
    """
    if x.shape[1] == 1:
        return None
    found = np.empty(len(y))
    for fold in range(FOLDS):
        held = folds == fold
        hospitals = [children.hospital[each] for each in np.flatnonzero(~held)]
        try:
            found[held] = _chances(x[held], estimate(x[~held], y[~held], hospitals))
        except ValueError:
            return None
    return found


def _chances(x: Matrix, fitted: _Fitted) -> Vector:
    predictor = x @ fitted.coefficients
    nodes, weights = np.polynomial.hermite_e.hermegauss(31)
    moved = predictor[:, None] + (fitted.sd or 0.0) * nodes
    # Rounded, so that children who are alike tie: products of matrices differ in the last digit.
    return np.asarray(np.round(expit(moved) @ (weights / weights.sum()), _DECIMALS))


def _file(head: Head, model: dict[str, Any]) -> Resource:
    draft = {
        "kind": "case-mix-model",
        "measure": head.measure,
        "version": head.version,
        "title": head.title,
        "description": head.description,
        "fictitious": head.fictitious,
        "valid-from": head.valid_from.isoformat(),
        "valid-until": head.valid_until.isoformat(),
        "parameters": model,
    }
    checked = Model.model_validate(model)
    draft["checks"] = [_check(checked, given) for given in _invented(checked)]
    read(draft)
    return draft


def _invented(model: Model) -> list[dict[str, Value]]:
    """Make up children to check the file by: a real child's factors must not stand in it."""
    ends: list[dict[str, Value]] = [{}, {}, {}]
    for each in model.factors:
        if isinstance(each, Fact):
            values: list[Value] = [False, True, None]
        elif isinstance(each, Category):
            values = [each.values[0], each.values[-1], None]
        else:
            least, greatest = (round(end * each.unit) for end in (each.minimum, each.maximum))
            values = [least, greatest, None]
        for end, value in zip(ends, values, strict=True):
            end[each.id] = value
    return ends if model.factors else ends[:1]


def _check(model: Model, given: dict[str, Value]) -> dict[str, Any]:
    chance = model.chance(given)
    return {"factors": given, "chance": None if chance is None else _text(chance)}


def _text(value: float | None, decimals: int = _DECIMALS) -> Any:
    """Write a number as files do: a decimal as text."""
    if value is None:
        return None
    text = f"{value:.{decimals}f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
