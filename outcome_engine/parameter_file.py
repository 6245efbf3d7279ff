"""The signed, versioned parameter file that a measure may need, and why one is refused.

What a file must hold is decided by the choice experiment (Allin et al., Arch Dis Child
2024;109:377-386); none of its values is known here, so none is given.
"""

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from fractions import Fraction
from hashlib import sha256
from importlib.resources import files
from typing import Annotated, Any, Literal, NoReturn, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from outcome_engine.definition import several
from outcome_engine.methods import treatment_success
from r4.issue import FhirError, Issue, error
from r4.json import Resource, decode, encode

Text = Annotated[str, Field(min_length=1)]


def _hyphenated(name: str) -> str:
    return name.replace("_", "-")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=_hyphenated)


class Attribute(_Part):
    """One attribute of the choice experiment: its functional form and a coefficient a level."""

    name: Text
    form: Text
    coefficients: Annotated[dict[str, Decimal], Field(min_length=1)]


class Anchors(_Part):
    """The utilities of the best outcome (score 1) and of palliation (score 0)."""

    best: Decimal
    palliation: Decimal

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.best <= self.palliation:
            raise ValueError("the best outcome must have a greater utility than palliation")
        return self


class SurvivalHorizon(_Part):
    """Over what time survival after diagnosis is counted."""

    years: Annotated[Decimal, Field(gt=0)]


class QualityOfLifeScaling(_Part):
    """The instrument of quality of life and how its result becomes a level of the attribute."""

    instrument: Text
    rule: Text


class Parameters(_Part):
    """The parameters themselves; their names are those of the Measure's `outcome-parameters`."""

    stakeholder_group: Literal["lived-experience", "professionals", "public"]
    attributes: Annotated[list[Attribute], Field(min_length=1)]
    covariance: list[list[Decimal]]
    anchors: Anchors
    survival_horizon: SurvivalHorizon
    quality_of_life_scaling: QualityOfLifeScaling
    minor_major_definition: Text
    missing_data_rule: Text
    cut_points: Annotated[list[Decimal], Field(min_length=1)]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        size = sum(len(attribute.coefficients) for attribute in self.attributes)
        rows = self.covariance
        if len(rows) != size or any(len(row) != size for row in rows):
            raise ValueError(f"covariance must be {size} x {size}: one row a coefficient")
        if any(rows[i][j] != rows[j][i] for i in range(size) for j in range(i)):
            raise ValueError("covariance must be symmetric")
        if any(a >= b for a, b in zip(self.cut_points, self.cut_points[1:], strict=False)):
            raise ValueError("cut-points must ascend")
        return self


class Check(_Part):
    """A utility with the score that the signatories expect of it, as an exact fraction or decimal.

    The engine computes each before it accepts the file.
    """

    utility: Decimal
    score: Annotated[str, Field(pattern=r"^-?\d+(\.\d+|/[1-9]\d*)?$")]


class Signature(_Part):
    """Who reviewed the file, and the SHA-256 of all the rest of it (see `digest`)."""

    reviewer: Text
    role: Text
    signed_on: date
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class ParameterFile(_Part):
    """A complete parameter file; `fictitious` says whether its values are made up for a test."""

    measure: Text
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]
    fictitious: Annotated[bool, Field(strict=True)]
    parameters: Parameters
    checks: Annotated[list[Check], Field(min_length=1)]
    signature: Signature


def refuse_without_parameters(measure: Resource) -> None:
    """Refuse a measure that needs a parameter file; return for one that needs none.

    Raises FhirError 422: the file is absent, not accepted, or (see docs/outcomes.md) it is accepted
    and the derivation of a child's attributes from the record is not part of this version.
    """
    for needed in several(measure, "outcome-parameters"):
        name = _values(needed, "file")[0]
        accept(measure, name, _packaged(name))
        _refuse(
            "not-supported",
            [
                f"The parameter file `{name}` is accepted, but deriving a child's attributes from "
                f"the record is not part of this version: `{measure['title']}` is not computed."
            ],
        )


def accept(measure: Resource, name: str, content: bytes | None) -> ParameterFile:
    """Read a parameter file and check that it is complete, consistent and signed.

    Raises FhirError 422 that names the file and each thing that is missing or wrong.
    """
    if content is None:
        _refuse_absent(measure, name)
    try:
        given = decode(content)
        file = ParameterFile.model_validate(given)
    except ValidationError as failure:
        raise FhirError(422, _issues(measure, name, failure)) from failure
    except ValueError as failure:
        message = f"The parameter file `{name}` is not JSON: {failure}."
        raise FhirError(422, [error("business-rule", message)]) from failure
    problems = list(_objections(measure, file, given))
    if problems:
        _refuse("business-rule", [f"The parameter file `{name}` {text}." for text in problems])
    return file


def digest(file: Resource) -> str:
    """Return the SHA-256, in hex, of a file without its signature, its members in sorted order."""
    unsigned = {key: value for key, value in file.items() if key != "signature"}
    return sha256(encode(_sorted(unsigned))).hexdigest()


def _objections(measure: Resource, file: ParameterFile, given: Resource) -> Iterable[str]:
    canonical = f"{measure['url']}|{measure['version']}"
    if file.measure != canonical:
        yield f"is for measure `{file.measure}`, not for `{canonical}`"
    if file.signature.digest != digest(given):
        yield "was changed after it was signed: signature.digest does not fit its content"
    anchors = file.parameters.anchors
    best, palliation = Fraction(anchors.best), Fraction(anchors.palliation)
    for number, check in enumerate(file.checks):
        computed = treatment_success.score(Fraction(check.utility), best, palliation)
        if computed != Fraction(check.score):
            yield f"expects score {check.score} in checks[{number}], but {computed} is computed"


def _refuse_absent(measure: Resource, name: str) -> NoReturn:
    title = measure["title"]
    _refuse(
        "not-supported",
        [
            f"`{title}` is not computed: its parameter file outcome_engine/parameters/{name} is "
            "absent. It must hold what the following issues name, a version, check values, the "
            "flag `fictitious` and the reviewer's signature.",
            *(
                f"Missing parameter `{parameter}`: {meaning}."
                for parameter, meaning in _needed(measure).items()
            ),
        ],
    )


def _refuse(code: str, messages: Iterable[str]) -> NoReturn:
    raise FhirError(422, [error(code, message) for message in messages])


def _issues(measure: Resource, name: str, failure: ValidationError) -> list[Issue]:
    needed = _needed(measure)
    found = []
    for problem in failure.errors(include_url=False, include_context=False):
        where = ".".join(str(step) for step in problem["loc"])
        meaning = needed.get(str(problem["loc"][-1])) if problem["loc"] else None
        message = f"The parameter file `{name}` is not accepted: `{where}`: {problem['msg']}"
        found.append(error("business-rule", message + (f" ({meaning})" if meaning else "")))
    return found


def _needed(measure: Resource) -> dict[str, str]:
    return {
        parameter["code"]: parameter["display"]
        for needed in several(measure, "outcome-parameters")
        for parameter in _values(needed, "parameter")
    }


def _values(extension: Resource, name: str) -> list[Any]:
    return [
        next(value for key, value in part.items() if key != "url")
        for part in extension["extension"]
        if part["url"] == name
    ]


def _packaged(name: str) -> bytes | None:
    file = files("outcome_engine") / "parameters" / name
    return file.read_bytes() if file.is_file() else None


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [_sorted(entry) for entry in value]
    return value
