"""A case-mix model: from what is known of a child before treatment to the chance of the event.

A signed, versioned file, as parameters are (docs/statistics.md). It says on whom it was developed,
how well it does, and for each factor what becomes of a child of whom it is not known. Fitting is
`case_mix.fit`; nothing here needs more than the standard library, so that a server predicts without
loading numpy.
"""

from collections.abc import Iterable, Mapping
from functools import cached_property, lru_cache
from math import exp, pi, sqrt
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from outcome_engine.case_mix.factors import require_baseline
from outcome_engine.methods.treatment_success import factor as factored
from outcome_engine.parameter_files.form import (
    Day,
    Form,
    Number,
    Part,
    Text,
    unique,
    unsigned,
)
from outcome_engine.parameter_files.signature import RefusedError
from r4.issue import FhirError
from r4.json import Resource

Value = int | float | str | bool | None
"""A factor of a child, as the batch's column `factor_<id>` has it; None where it is not known."""
INTERCEPT = "intercept"
_AGREES = 1e-9
_STEP = 0.5
_NODES = tuple(_STEP * number for number in range(-16, 17))
"""A trapezium rule on these nodes integrates over a normal variable to 1e-12."""


class _Factor(Part):
    """One factor, and what is done where it is missing.

    `indicator` gives those of whom it is missing a coefficient of their own, and counts them as of the
    reference or the centre otherwise; `refuse` predicts nothing for them.
    """

    id: Text
    missing: Literal["refuse", "indicator"]

    def without(self) -> dict[str, float] | None:
        """Return what a child of whom it is missing gives to each coefficient; None: no prediction."""
        return None if self.missing == "refuse" else {f"{self.id} missing": 1.0}

    def names(self) -> list[str]:
        """List the coefficients, the one of those who are missing last."""
        own = self.own_names()
        return [*own, f"{self.id} missing"] if self.missing == "indicator" else own

    def own_names(self) -> list[str]:
        """List the coefficients of those of whom it is known."""
        return [self.id]


class Fact(_Factor):
    """A factor that is so or not."""

    form: Literal["fact"]

    def terms(self, value: Value) -> dict[str, float] | None:
        """Return what a value gives to each coefficient; ValueError for anything but a boolean."""
        if value is None:
            return self.without()
        if not isinstance(value, bool):
            raise ValueError(f"factor {self.id}: {value!r} is neither true nor false")  # noqa: TRY004
        return {self.id: float(value)}


class Category(_Factor):
    """A factor with values of which each but the first, the reference, has a coefficient.

    A value that was not there when the model was developed counts as missing.
    """

    form: Literal["category"]
    values: Annotated[list[Text], Field(min_length=2)]

    def terms(self, value: Value) -> dict[str, float] | None:
        """Return what a value gives to each coefficient."""
        text = str(value)
        if value is None or text not in self.values:
            return self.without()
        return {} if text == self.values[0] else {f"{self.id} {text}": 1.0}

    def own_names(self) -> list[str]:
        """List a coefficient a value, but for the first."""
        return [f"{self.id} {value}" for value in self.values[1:]]


class Quantity(_Factor):
    """A number in the unit of its column; z = (value - centre) / scale, and its square if `square`.

    Values outside of minimum to maximum, those of the development, count as the nearer of the two:
    nothing is extrapolated.
    """

    form: Literal["number"]
    centre: Number
    scale: Annotated[Number, Field(gt=0)]
    unit: Number
    minimum: Number
    maximum: Number
    square: bool

    def terms(self, value: Value) -> dict[str, float] | None:
        """Return what a value gives to each coefficient; ValueError for what is no number."""
        if value is None:
            return self.without()
        if isinstance(value, str | bool):
            raise ValueError(f"factor {self.id}: {value!r} is no number")  # noqa: TRY004
        held = min(max(float(value) / float(self.unit), float(self.minimum)), float(self.maximum))
        z = (held - float(self.centre)) / float(self.scale)
        return {self.id: z, f"{self.id} squared": z * z} if self.square else {self.id: z}

    def own_names(self) -> list[str]:
        """List the coefficient, and that of the square."""
        return [self.id, f"{self.id} squared"] if self.square else [self.id]


Factor = Annotated[Fact | Category | Quantity, Field(discriminator="form")]


class Coefficient(Part):
    """A coefficient by its name: a factor's id, followed by its value, `squared` or `missing`."""

    name: Text
    value: Number


class Development(Part):
    """On whom it was fitted: cases that began from the first to the last day, both included."""

    start: Annotated[Day, Field(alias="from")]
    until: Day
    children: Annotated[int, Field(gt=0)]
    events: Annotated[int, Field(gt=0)]
    hospitals: Annotated[int, Field(gt=0)]
    not_known: Annotated[int, Field(ge=0)]
    factor_missing: Annotated[int, Field(ge=0)]


class Discrimination(Part):
    """The c-statistic: of the children it was fitted to, and of children held out in turn."""

    apparent: Number
    standard_error: Number | None
    cross_validated: Number | None


class RiskGroup(Part):
    """Children of like predicted chance, in ascending order."""

    children: int
    observed: int
    expected: Number


class Calibrated(Part):
    """Calibration of children held out in turn; intercept 0 and slope 1 are perfect."""

    intercept: Number | None
    slope: Number | None
    groups: list[RiskGroup]


class Model(Part):
    """The model itself. method `ridge` has a penalty, `random-intercept` the sd between hospitals.

    event: the class that is predicted. The covariance is in the order of the coefficients.
    """

    method: Literal["ridge", "firth", "random-intercept"]
    penalty: Number | None
    hospital_sd: Number | None
    event: Text
    factors: list[Factor]
    coefficients: Annotated[list[Coefficient], Field(min_length=1)]
    covariance: list[list[Number]]
    development: Development
    discrimination: Discrimination
    calibration: Calibrated

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        unique((each.id for each in self.factors), "the factor")
        names = [INTERCEPT, *(name for each in self.factors for name in each.names())]
        given = [each.name for each in self.coefficients]
        if given != names:
            raise ValueError(f"the coefficients must be, in this order: {', '.join(names)}")
        factored(self.covariance, len(names))
        if (self.penalty is None) == (self.method == "ridge"):
            raise ValueError("a ridge has a penalty, and nothing else has")
        if (self.hospital_sd is None) == (self.method == "random-intercept"):
            raise ValueError("a random intercept has hospital-sd, and nothing else has")
        if self.development.events > self.development.children:
            raise ValueError("there are more events than children")
        return self

    def predictor(self, factors: Mapping[str, Value]) -> float | None:
        """Return the linear predictor, None where a factor is missing whose rule is `refuse`.

        Raises KeyError for a factor that is not given at all, ValueError for one of another type.
        """
        found = self._value[INTERCEPT]
        for each in self.factors:
            terms = each.terms(factors[each.id])
            if terms is None:
                return None
            found += sum(self._value[name] * times for name, times in terms.items())
        return found

    def chance(self, factors: Mapping[str, Value]) -> float | None:
        """Return the chance of the event in the average of the hospitals, None as `predictor`.

        With a random intercept it is the mean over hospitals, and not the chance in a hospital of
        mean effect: so what is expected adds up to what was observed.
        """
        predictor = self.predictor(factors)
        if predictor is None:
            return None
        return _average(predictor, float(self.hospital_sd or 0))

    @cached_property
    def _value(self) -> Mapping[str, float]:
        return {each.name: float(each.value) for each in self.coefficients}


class Check(Part):
    """A child with the chance that the signatories expect of it, None where nothing is predicted."""

    factors: dict[str, int | str | bool | None]
    chance: Number | None


class CaseMixModel(Form):
    """A case-mix model of one version of a measure."""

    kind: Literal["case-mix-model"]
    parameters: Model
    checks: Annotated[list[Check], Field(min_length=1)]

    def objections(self) -> Iterable[RefusedError]:
        """Yield also a factor that is no baseline factor, and checks that are not reproduced."""
        yield from super().objections()
        try:
            require_baseline(each.id for each in self.parameters.factors)
        except FhirError as refused:
            for issue in refused.issues:
                text = f"adjusts for what it must not: {issue.diagnostics.rstrip('.')}"
                yield RefusedError("inconsistent", text)
        for number, check in enumerate(self.checks):
            try:
                computed = self.chance(check.factors)
            except (KeyError, ValueError) as wrong:
                text = f"has checks[{number}] that cannot be computed: {wrong}"
                yield RefusedError("check-not-reproduced", text)
                continue
            if not _agree(check.chance, computed):
                wanted = None if check.chance is None else float(check.chance)
                text = f"expects chance {wanted} in checks[{number}], but {computed} is computed"
                yield RefusedError("check-not-reproduced", text)

    def chance(self, factors: Mapping[str, Value]) -> float | None:
        """Return the predicted chance of the event; see Model.chance."""
        return self.parameters.chance(factors)


def read(given: Resource) -> CaseMixModel:
    """Read a model as `unsigned` does."""
    return unsigned(CaseMixModel, given)


@lru_cache(maxsize=65536)  # children are often alike
def _average(predictor: float, sd: float) -> float:
    if sd == 0:
        return _expit(predictor)
    density = [exp(-z * z / 2) / sqrt(2 * pi) for z in _NODES]
    chances = [_expit(predictor + sd * z) for z in _NODES]
    return _STEP * sum(p * d for p, d in zip(chances, density, strict=True))


def _expit(predictor: float) -> float:
    if predictor >= 0:
        return 1 / (1 + exp(-predictor))
    grown = exp(predictor)
    return grown / (1 + grown)


def _agree(wanted: object, computed: float | None) -> bool:
    if wanted is None or computed is None:
        return wanted is computed
    return abs(float(wanted) - computed) <= _AGREES  # type: ignore[arg-type]
