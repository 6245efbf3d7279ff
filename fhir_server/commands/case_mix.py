"""`case-mix`: fit a case-mix model to outcome rows, show a model, or compare hospitals."""

import argparse
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from math import exp, sqrt
from pathlib import Path
from typing import Any

from fhir_server.commands import case_mix_compared
from outcome_engine.case_mix.model import CaseMixModel, read
from outcome_engine.definitions import definition
from outcome_engine.extensions import several
from r4.json import decode, encode

_MILLION = 1_000_000
_FORMS = ("fact", "category", "number", "square")


def add_arguments(add: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Add the command and its actions."""
    actions = add(
        "case-mix", "Fit a case-mix model, show one, or compare hospitals by it."
    ).add_subparsers(required=True, metavar="action")
    fitted = actions.add_parser("fit", help="fit a model to outcome rows; writes an unsigned file")
    fitted.add_argument("rows", type=Path, help="outcome rows, CSV or Parquet")
    fitted.add_argument("--measure", required=True, help="canonical of the measure, url|version")
    fitted.add_argument("--version", required=True, help="the model's own, as 1.0.0")
    fitted.add_argument("--title", required=True)
    fitted.add_argument("--description", required=True)
    fitted.add_argument("--from", dest="start", type=date.fromisoformat, required=True)
    fitted.add_argument("--until", type=date.fromisoformat, required=True)
    fitted.add_argument("--valid-from", type=date.fromisoformat, required=True)
    fitted.add_argument("--valid-until", type=date.fromisoformat, required=True)
    fitted.add_argument("--event", default="bad", help="the class that is predicted")
    fitted.add_argument(
        "--method", choices=("ridge", "firth", "random-intercept"), default="random-intercept"
    )
    fitted.add_argument("--penalty", type=float, help="of a ridge; else held-out children decide")
    fitted.add_argument(
        "--factor",
        action="append",
        metavar="ID[:FORM[:UNIT]]",
        help="a factor, with form fact, category, number or square, and how many units of its column "
        "are 1 (else as the measure declares it); by default each",
    )
    fitted.add_argument(
        "--refuse-missing",
        action="append",
        default=[],
        metavar="ID",
        help="predict nothing for a child of whom this factor is missing",
    )
    fitted.add_argument("--fictitious", action="store_true", help="the rows are made up")
    fitted.add_argument("--output", type=Path, required=True, help="the file to write")
    fitted.set_defaults(run=fit)
    shown = actions.add_parser("show", help="show a model: coefficients, and how well it does")
    shown.add_argument("file", type=Path)
    shown.set_defaults(run=lambda given: show(given.file))
    case_mix_compared.add_arguments(lambda name, text: actions.add_parser(name, help=text))


def fit(given: argparse.Namespace) -> None:
    """Fit a model, write its file and print it; raises what `case_mix.fit.fit` does."""
    from outcome_engine.case_mix import fit as case_mix_fit  # noqa: PLC0415 - numpy, scipy, pyarrow
    from outcome_engine.case_mix import rows as case_mix_rows  # noqa: PLC0415 - numpy, scipy, pyarrow

    rows = case_mix_rows.read(given.rows, given.event, given.start, given.until)
    names = given.factor or sorted(rows.factors)
    units = _units(given.measure)
    wanted = [case_mix_fit.Wanted(**_wanted(name, given.refuse_missing, units)) for name in names]
    head = case_mix_fit.Head(
        measure=given.measure,
        version=given.version,
        title=given.title,
        description=given.description,
        event=given.event,
        start=given.start,
        until=given.until,
        valid_from=given.valid_from,
        valid_until=given.valid_until,
        fictitious=given.fictitious,
    )
    file = case_mix_fit.fit(rows, wanted, given.method, head, given.penalty)
    given.output.write_bytes(encode(file) + b"\n")
    for line in lines(read(file)):
        print(line)
    print(f"written to {given.output}; not signed: sign it with `parameters sign`")


def show(file: Path) -> None:
    """Print what a model's file says; whether its signature holds, `parameters check` says.

    Raises OSError, and ValueError for what is wrong in it.
    """
    content = decode(file.read_bytes())
    for line in lines(read(content)):
        print(line)
    print("signed" if "signature" in content else "not signed")


def lines(model: CaseMixModel) -> Iterator[str]:
    """Yield the lines that an analyst reads."""
    given = model.parameters
    group = given.development
    yield f"{model.title}, version {model.version}, for {model.measure}"
    yield (
        f"{given.method}, event `{given.event}`: {group.events} of {group.children} children of "
        f"{group.hospitals} hospitals, cases from {group.start} to {group.until}"
    )
    yield (
        f"left out: {group.not_known} whose outcome is not known, {group.factor_missing} of whom a "
        "factor is"
    )
    if given.penalty is not None:
        yield f"ridge {float(given.penalty):g}"
    if given.hospital_sd is not None:
        yield f"sd between hospitals {float(given.hospital_sd):.4f} (logit)"
    yield f"{'':40} odds ratio (95% interval)"
    for number, each in enumerate(given.coefficients):
        value, error = float(each.value), sqrt(float(given.covariance[number][number]))
        low, high = (exp(value + side * 1.959963985 * error) for side in (-1, 1))
        yield f"{each.name:40} {exp(value):9.3f} ({low:.3f} to {high:.3f})"
    yield from _performance(given.discrimination, given.calibration)


def _performance(discrimination: Any, calibration: Any) -> Iterator[str]:
    yield f"c-statistic {_shown(discrimination.apparent)}, of children held out " + _shown(
        discrimination.cross_validated
    )
    yield (
        f"calibration of children held out: intercept {_shown(calibration.intercept)}, slope "
        f"{_shown(calibration.slope)}"
    )
    for number, group in enumerate(calibration.groups, start=1):
        yield (
            f"  risk group {number:2}: {group.children} children, {group.observed} observed, "
            f"{float(group.expected):.1f} expected"
        )


def _shown(number: Any) -> str:
    return "not estimated" if number is None else f"{float(number):.3f}"


def _units(measure: str) -> Mapping[str, int]:
    """Map the factors that a measure declares to how many units of their column are 1."""
    found = definition.measure(measure)
    if several(found, "outcome-parameters"):
        return {}  # it is read with its parameters only, and its attributes are no factors
    facts = definition.definition(measure).facts
    return {
        each.id: _MILLION if each.type == "decimal" else 1
        for each in facts
        if each.role == "factor"
    }


def _wanted(text: str, refused: list[str], units: Mapping[str, int]) -> dict[str, Any]:
    id, _, rest = text.partition(":")
    form, _, unit = rest.partition(":")
    if (form and form not in _FORMS) or (unit and not unit.isdigit()):
        raise ValueError(
            f"--factor {text}: the form is one of {', '.join(_FORMS)}, a unit a number"
        )
    return {
        "id": id,
        "form": form or None,
        "unit": int(unit or units.get(id, 1)),
        "missing": "refuse" if id in refused else "indicator",
    }
