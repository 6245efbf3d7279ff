"""`case-mix compare`, `monitor`, `compare-scores`: hospitals against what is expected of their children.

The numbers are exact, for whoever may see the rows: disclosure control is the reports'.
"""

import argparse
import csv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from fhir_server.settings import Settings
from outcome_engine import civil
from outcome_engine.case_mix.model import CaseMixModel
from outcome_engine.comparison.policy import CHILDREN_IN_CONTROL, CONVENTIONS
from outcome_engine.definitions import definition
from outcome_engine.parameter_files.form import Form, unsigned
from outcome_engine.parameter_files.parameter_file import Parameters
from outcome_engine.parameter_files.signature import Signatories
from outcome_engine.parameter_files.treatment_success import TreatmentSuccessFile
from r4.json import decode, encode

if TYPE_CHECKING:
    from outcome_engine.case_mix.monitored import Monitored
    from outcome_engine.case_mix.scored import Preferences
    from outcome_engine.comparison.result import Compared, Estimate

F = TypeVar("F", bound=Form)

_OWN = (
    "A hospital's own instrument, in exact numbers: not for publication, and not for comparing "
    "hospitals."
)


def add_arguments(add: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Add the three actions."""
    compared = _action(add, "compare", "compare each hospital with what is expected of it")
    _add_model(compared)
    compared.add_argument(
        "--convention",
        choices=CONVENTIONS,
        help="beside the exact limits, those that another programme would draw",
    )
    compared.set_defaults(run=lambda given: compare(Settings(), given))
    monitored = _action(add, "monitor", "chart one hospital's children in turn: VLAD and CUSUM")
    _add_model(monitored)
    monitored.add_argument("--hospital", required=True, help="as the rows name it")
    monitored.add_argument(
        "--odds", type=float, default=2.0, help="times as bad, which the CUSUM looks for (2)"
    )
    monitored.add_argument(
        "--in-control-run",
        type=float,
        default=CHILDREN_IN_CONTROL,
        help=f"mean number of children until a false signal ({CHILDREN_IN_CONTROL})",
    )
    monitored.add_argument("--output", type=Path, help="the charts, child by child: .csv or .json")
    monitored.set_defaults(run=lambda given: monitor(Settings(), given))
    scored = _action(
        add, "compare-scores", "compare hospitals by a score; not adjusted for case-mix"
    )
    scored.add_argument("--skew", action="store_true", help="limits by a bootstrap of the children")
    scored.add_argument(
        "--parameters", type=Path, help="those of the score, signed: how sure results are by them"
    )
    scored.add_argument("--draft", action="store_true", help="take parameters that are not signed")
    scored.set_defaults(run=lambda given: compare_scores(Settings(), given))


def _action(
    add: Callable[[str, str], argparse.ArgumentParser], name: str, text: str
) -> argparse.ArgumentParser:
    made = add(name, text)
    made.add_argument("rows", type=Path, help="outcome rows, CSV or Parquet")
    made.add_argument("--from", dest="start", type=date.fromisoformat, required=True)
    made.add_argument("--until", type=date.fromisoformat, required=True)
    made.add_argument("--as-of", type=date.fromisoformat, help="of the comparison; else the end")
    return made


def _add_model(action: argparse.ArgumentParser) -> None:
    action.add_argument("--model", type=Path, required=True, help="a signed case-mix model")
    action.add_argument("--draft", action="store_true", help="take a model that is not signed")


def compare(settings: Settings, given: argparse.Namespace) -> None:
    """Print each hospital's comparison with what a model expects of its own children.

    Raises FhirError 422 for a model that is refused, or hospitals that cannot be compared.
    """
    from outcome_engine.case_mix import compared as case_mix_compared  # noqa: PLC0415 - numpy
    from outcome_engine.case_mix import rows as case_mix_rows  # noqa: PLC0415 - numpy
    from outcome_engine.comparison import conventions  # noqa: PLC0415 - numpy and scipy
    from outcome_engine.comparison import hospitals as comparison  # noqa: PLC0415 - numpy and scipy

    model = _accepted(settings, given, given.model, CaseMixModel)
    rows = case_mix_rows.read(given.rows, model.parameters.event, given.start, given.until)
    found = case_mix_compared.hospitals(rows, model)
    policy = case_mix_compared.policy(model)
    result = comparison.compare(found.hospitals, policy)
    drawn = (
        conventions.conventional(result.hospitals, given.convention, policy)
        if given.convention
        else ()
    )
    _mark(model, given)
    for at, hospital in enumerate(result.hospitals):
        print(*hospital.statements, *_estimates(hospital), sep="\n  ")
        if drawn:
            each = drawn[at]
            print(
                f"  By {given.convention}: {each.value:.3f} ({_between(each.interval)}), limits "
                f"{_between(each.alert)} (alert) and {_between(each.alarm)} (alarm)."
            )
    for statement in result.statements:
        print(statement)
    print(
        f"Between hospitals the log-odds are likeliest to have the mean {result.centre.mean:+.3f} "
        f"and the standard deviation {result.centre.deviation:.3f}."
    )
    for id, count in sorted(found.not_predicted.items()):
        print(f"{id}: {count} children are left out: a factor is missing of which the model")
        print("  predicts nothing without it.")


def monitor(settings: Settings, given: argparse.Namespace) -> None:
    """Print what a hospital's VLAD and CUSUM came to; write them child by child where it is asked for.

    Raises FhirError 422 for a model that is refused, and for a hospital that cannot be charted;
    ValueError for a file that is neither CSV nor JSON.
    """
    from outcome_engine.case_mix import monitored as charts  # noqa: PLC0415 - numpy and scipy
    from outcome_engine.case_mix import rows as case_mix_rows  # noqa: PLC0415 - numpy

    if given.output is not None and given.output.suffix not in (".csv", ".json"):
        raise ValueError(f"{given.output}: the charts are written as .csv or .json")
    model = _accepted(settings, given, given.model, CaseMixModel)
    rows = case_mix_rows.read(given.rows, model.parameters.event, given.start, given.until)
    found = charts.monitor(
        rows,
        model,
        given.hospital,
        odds_ratio=given.odds,
        in_control=given.in_control_run,
    )
    _mark(model, given)
    for line in _monitored(found):
        print(line)
    if given.output is not None:
        _write(given.output, found)
        print(f"written to {given.output}")


def _monitored(found: "Monitored") -> Iterator[str]:
    steps, last = found.steps, found.steps[-1]
    bad = sum(each.bad for each in steps)
    yield _OWN
    yield (
        f"{found.hospital}: {len(steps)} children from {_date(steps[0].day)} to {_date(last.day)}; "
        f"{bad} had a bad outcome, {bad + last.vlad:.1f} were expected to."
    )
    yield f"VLAD: {last.vlad:+.1f} bad outcomes expected less observed. It has no limits."
    yield (
        f"CUSUM for odds of a bad outcome {found.odds_ratio:g} times those expected: limit "
        f"{found.limit:.3f}, by a Markov chain. Children until the first signal, in the mean: "
        f"{found.in_control:g} if all is as expected, {found.out_of_control:.0f} if the odds are so."
    )
    signals = [(at, each) for at, each in enumerate(steps, start=1) if each.signal]
    for at, each in signals:
        yield f"Signal on {_date(each.day)}, at child {at}: {each.cusum:.3f}."
    if not signals:
        yield f"No signal; the CUSUM stands at {last.cusum:.3f}. That is not evidence of safety."
    yield (
        f"{found.not_known} children are left out whose outcome is not known, and "
        f"{found.not_predicted} of whom nothing is predicted."
    )


def compare_scores(settings: Settings, given: argparse.Namespace) -> None:
    """Print each hospital's mean score less the one expected, with its limits.

    Raises FhirError 422 for parameters that are refused, or hospitals that cannot be compared;
    ValueError for rows without scores, or with those of other parameters.
    """
    from outcome_engine.case_mix import scored  # noqa: PLC0415 - numpy
    from outcome_engine.comparison import scores  # noqa: PLC0415 - numpy and scipy

    rows = scored.read(given.rows, given.start, given.until)
    expected = scored.expected(rows)
    result = scores.compare_scores(expected.hospitals, skew=given.skew)
    sure: Mapping[str, Preferences] = {}
    if given.parameters is not None:
        file = _accepted(settings, given, given.parameters, TreatmentSuccessFile)
        sure = scored.preferences(rows, file, result.policy.interval)
        _mark(file, given)
    print(scored.NOT_ADJUSTED)
    for hospital in result.hospitals:
        print(*hospital.statements, sep="\n  ")
        if hospital.id in sure:
            print(*_sure(sure[hospital.id]), sep="\n")
    for each in result.not_compared:
        print(each.reason)
    for id, count in sorted(expected.alone.items()):
        print(
            f"{id}: {count} children are left out: no other hospital has one with their condition."
        )


def _sure(of: "Preferences") -> Iterator[str]:
    yield (
        f"  Over the draws of the preferences the mean is {_between(of.difference, '+')} (95% of them)."
    )
    yield (
        f"  {100 * of.good_could_flip:.3g}% of the children could flip between good and not good, "
        f"{100 * of.light_could_flip:.3g}% to another light: more than 5% of the draws say so."
    )


def _write(file: Path, found: "Monitored") -> None:
    steps = [{**asdict(each), "day": _date(each.day)} for each in found.steps]
    if file.suffix == ".json":
        file.write_bytes(encode({**asdict(found), "steps": steps}) + b"\n")
        return
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.DictWriter(opened, list(steps[0]))
        writer.writeheader()
        writer.writerows(steps)


def _date(day: int) -> str:
    return date.fromordinal(day + civil.EPOCH).isoformat()


def _estimates(compared: "Compared") -> Iterator[str]:
    rate = compared.observed / compared.known
    yield (
        f"Rate {rate:.3f}; 95% intervals: Wilson {_between(compared.wilson)}, exact "
        f"{_between(compared.exact)}, mid-p {_between(compared.mid_p)}."
    )
    yield (
        f"Observed to expected {compared.ratio:.3f}; drawn towards the others' (shrunken) "
        f"{_estimate(compared.shrunken)}."
    )
    imputed = compared.missing.imputed
    if imputed is not None:
        yield f"Rate with the outcomes that are not known imputed: {_estimate(imputed)}."


def _estimate(of: "Estimate") -> str:
    return f"{of.value:.3f} ({_between((of.lower, of.upper))})"


def _between(interval: tuple[float, float], sign: str = "") -> str:
    return " to ".join(f"{end:{sign}.3f}" for end in interval)


def _mark(file: Form, given: argparse.Namespace) -> None:
    if file.fictitious:
        print(f"ILLUSTRATIVE: `{file.title}` is fictitious.")
    if given.draft:
        print(f"DRAFT: `{file.title}` is not signed.")


def _accepted(settings: Settings, given: argparse.Namespace, file: Path, form: type[F]) -> F:
    """Return a file of parameters that is signed and valid on the day, or any if a draft will do."""
    content = file.read_bytes()
    if given.draft:
        return unsigned(form, decode(content))
    measure = definition.measure(unsigned(form, decode(content)).measure)
    signatories = Signatories.load(settings.signatories)
    parameters = Parameters({str(file): content}, signatories)
    day = given.as_of or given.until
    found = parameters.of_kind(form, measure, day.isoformat())
    if found is None:
        raise ValueError(f"{file} is no file of kind {form.__name__}")
    return found.content
