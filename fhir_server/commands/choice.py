"""`choice`: estimate weights from choices, and draft a parameter file of them."""

import argparse
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from r4.json import decode, encode

if TYPE_CHECKING:
    from outcome_engine.choice.data import Choices
    from outcome_engine.choice.estimation import Estimate

_EXPECTED = {"+": 1, "-": -1}


def add_arguments(add: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Add the command and its actions."""
    actions = add("choice", "Estimate weights from choices, or draft a parameter file.")
    action = actions.add_subparsers(required=True, metavar="action")
    estimated = action.add_parser("estimate", help="fit a model to each group's choices")
    estimated.add_argument(
        "choices",
        type=Path,
        help="choices in long form, or answers to a design, CSV (docs/choice.md)",
    )
    estimated.add_argument(
        "--design", type=Path, help="what was shown, CSV, where answers are given"
    )
    estimated.add_argument(
        "--group-column",
        default="",
        metavar="NAME",
        help="of the answers; all are one group without",
    )
    estimated.add_argument(
        "--interaction",
        action="append",
        default=[],
        metavar="COLUMN=TRAIT",
        help="a coefficient more: a column of the design by one of the answers, as 1 for women",
    )
    estimated.add_argument("--group", action="append", help="a group; by default each")
    estimated.add_argument(
        "--random",
        action="append",
        default=[],
        metavar="NAME",
        help="a coefficient that differs between respondents: a mixed logit is fitted",
    )
    estimated.add_argument("--draws", type=int, default=1000, help="of the mixed logit")
    estimated.add_argument(
        "--sign", action="append", default=[], metavar="NAME=+|-", help="the sign that is expected"
    )
    estimated.add_argument(
        "--range",
        action="append",
        default=[],
        metavar="NAME=NUMBER",
        help="from the worst to the best, in the column's unit: importance is told",
    )
    estimated.add_argument("--reference", help="the attribute to which importance is relative")
    estimated.add_argument("--output", type=Path, required=True, help="the estimates, JSON")
    estimated.set_defaults(run=estimate)
    drafted = action.add_parser("draft", help="make a parameter file of estimates; unsigned")
    drafted.add_argument("estimates", type=Path)
    drafted.add_argument("--group", required=True)
    drafted.add_argument("--template", type=Path, required=True, help="all that is no estimate")
    drafted.add_argument("--decimals", type=int, default=6, help="of the coefficients")
    drafted.add_argument("--output", type=Path, required=True)
    drafted.set_defaults(run=draft)


def estimate(given: argparse.Namespace) -> None:
    """Estimate each group's model, print it with its diagnostics, and write the estimates.

    Raises OSError and ValueError as the workbench does, naming what is wrong.
    """
    from outcome_engine.choice import estimation  # noqa: PLC0415 - numpy
    from outcome_engine.choice.draft import estimates  # noqa: PLC0415

    expected = {name: _sign(value) for name, value in map(_pair, given.sign)}
    ranges = {name: float(value) for name, value in map(_pair, given.range)}
    found = _choices(given)
    unknown = [group for group in given.group or () if group not in found]
    if unknown:
        raise ValueError(f"{given.choices.name} has no group {', '.join(unknown)}")
    written = []
    for group in given.group or found:
        choices = found[group]
        result = (
            estimation.mixed(choices, given.random, given.draws)
            if given.random
            else estimation.conditional(choices)
        )
        for line in lines(choices, result, expected, ranges, given.reference):
            print(line)
        written.append(estimates(result))
    given.output.write_bytes(encode({"estimates": written}) + b"\n")
    print(f"written to {given.output}")


def _choices(given: argparse.Namespace) -> "Mapping[str, Choices]":
    from outcome_engine.choice import answers, data  # noqa: PLC0415 - numpy

    interactions = [_pair(each) for each in given.interaction]
    if given.design:
        return answers.read_answers(given.choices, given.design, given.group_column, interactions)
    if given.group_column or interactions:
        raise ValueError("--group-column and --interaction are of answers to a --design")
    return data.read(given.choices)


def draft(given: argparse.Namespace) -> None:
    """Write the parameter file of one group's estimates; raises OSError, and ValueError for faults."""
    from outcome_engine.choice.draft import anchored  # noqa: PLC0415 - numpy
    from outcome_engine.choice.draft import draft as drafted  # noqa: PLC0415

    said = {each["group"]: each for each in decode(given.estimates.read_bytes())["estimates"]}
    if given.group not in said:
        raise ValueError(
            f"{given.estimates.name} has no group {given.group}; it has {', '.join(said)}"
        )
    file = drafted(said[given.group], decode(given.template.read_bytes()), given.decimals)
    given.output.write_bytes(encode(file) + b"\n")
    print("on the scale of the score, best 1 and palliation 0 (95% interval):")
    for each in anchored(file):
        print(f"  {each.name:30} {each.value:8.4f} ({each.lower:.4f} to {each.upper:.4f})")
    for number, check in enumerate(file["checks"]):
        print(f"checks[{number}]: score {check['score']}, {check['light']}: to be reviewed")
    print(f"written to {given.output}; not signed: sign it with `parameters sign`")


def lines(
    choices: "Choices",
    result: "Estimate",
    expected: Mapping[str, int],
    ranges: Mapping[str, float],
    reference: str | None,
) -> Iterator[str]:
    """Yield the lines that an analyst reads of one group."""
    from outcome_engine.choice import diagnostics  # noqa: PLC0415 - numpy

    fit = diagnostics.fit(choices, result)
    kind = f"mixed logit, {result.draws} draws" if result.sd else "conditional logit"
    yield f"{choices.group}: {kind}; {fit.tasks} tasks of {fit.respondents} respondents"
    yield (
        f"log-likelihood {fit.log_likelihood:.3f} (by chance {fit.log_likelihood_of_chance:.3f}), "
        f"pseudo R2 {fit.pseudo_r2:.3f} (adjusted {fit.adjusted_r2:.3f}), AIC {fit.aic:.1f}, "
        f"BIC {fit.bic:.1f}, {100 * fit.predicted_right:.0f} % predicted"
    )
    errors = result.standard_errors
    for number, name in enumerate(result.names):
        spread = f", sd {result.sd[name]:.4f}" if name in result.sd else ""
        yield f"  {name:30} {result.coefficients[number]:10.5f} (se {errors[number]:.5f}){spread}"
    for name, (seen, predicted) in fit.shares.items():
        yield f"  share of {name}: {seen:.3f} chosen, {predicted:.3f} predicted"
    for sign in diagnostics.signs(result, expected):
        yield f"  sign of {sign.name}: {sign.verdict}"
    if expected:
        yield _consistency(diagnostics.consistency(choices, expected))
    if ranges:
        for each in diagnostics.importance(result, ranges, reference or next(iter(ranges))):
            yield (
                f"  importance of {each.name} to {each.reference}: {each.value:.3f} "
                f"({each.lower:.3f} to {each.upper:.3f})"
            )


def _consistency(found: Any) -> str:
    return (
        f"  dominated: chosen in {found.dominated_chosen} of {found.dominated} tasks, by "
        f"{found.respondents_who_did} respondents; asked again: {found.repeated_alike} of "
        f"{found.repeated} alike"
    )


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"{text!r} is not NAME=VALUE")
    return name, value


def _sign(value: str) -> int:
    if value not in _EXPECTED:
        raise ValueError(f"a sign is + or -, not {value!r}")
    return _EXPECTED[value]
