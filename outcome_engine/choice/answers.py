"""Choices in two tables: what each respondent answered, and the design that says what was shown.

The shape of published choice experiments (R's support.CEs: rural, pork, rice, syn.res1 to syn.res3).
Answers are CSV, a row a respondent: `ID`, `BLOCK`, `q1`, `q2`, … and what else is known of them; the
design is CSV, a row an alternative: `BLOCK`, `QES` (the number of the question), `ALT` (its number, from
1) and a column of numbers for every coefficient. Aizaki H. J Stat Softw 2012;50(Code Snippet 2).
"""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from pathlib import Path

from outcome_engine.choice.data import Choices, by_group

Row = Mapping[str, str]
Design = Mapping[tuple[str, str], list[Row]]
_KEYS = ("BLOCK", "QES", "ALT")
_QUESTION = re.compile(r"q([1-9][0-9]*)\Z", re.ASCII)
_UNANSWERED = ("", "NA")
_NONE = "none"
"""The name of what is left where a question shows one alternative: to do without it."""


def read_answers(
    answers: Path, design: Path, group: str = "", interactions: Sequence[tuple[str, str]] = ()
) -> Mapping[str, Choices]:
    """Read answers and their design, as Choices by the values of the column group; all one if empty.

    An interaction is a column of the design by one of the respondents', a coefficient more that is
    named by both. Names are written small, with hyphens. A question with one alternative was answered
    1 (yes) or 0 (no): no is an alternative without anything. A question that was not answered is left
    out. Raises OSError, and ValueError that names the line where something is wrong.
    """
    shown, names = _design(design)
    if unknown := [name for name, _ in interactions if name not in names]:
        raise ValueError(f"{design.name} has no column {', '.join(unknown)}")
    by_both = {f"{name}-{trait}": (name, trait) for name, trait in interactions}
    written = {name: _written(name) for name in (*names, *by_both)}
    if len(set(written.values())) < len(written):
        raise ValueError(f"{design.name}: two columns are one when written small, with hyphens")
    rows: list[dict[str, str]] = []
    people: set[str] = set()
    traits = [trait for _, trait in interactions]
    for line, person in _lines(
        answers, ["ID", "BLOCK", "q1", *traits, *([group] if group else [])]
    ):
        where = f"{answers.name}, line {line}"
        if person["ID"] in people:
            raise ValueError(f"{where}: respondent {person['ID']} stands twice")
        people.add(person["ID"])
        known = {trait: _number(where, person, trait) for trait in traits}
        said = {"group": person[group] if group else "all", "respondent": person["ID"]}
        for task, alternative, chosen in _answered(where, person, shown):
            values = {name: float(alternative.get(name, 0)) for name in names}
            for name, (attribute, trait) in by_both.items():
                values[name] = values[attribute] * known[trait]
            choice = {"task": task, "alternative": alternative["ALT"], "chosen": str(int(chosen))}
            columns = {written[name]: repr(value) for name, value in values.items()}
            rows.append(columns | said | choice | {"line": str(line)})
    return by_group(answers.name, tuple(written.values()), rows)


def _design(file: Path) -> tuple[Design, list[str]]:
    """Return the alternatives of every block's questions, and the names of the coefficients."""
    shown: dict[tuple[str, str], list[Row]] = {}
    names: list[str] = []
    for line, row in _lines(file, _KEYS):
        where = f"{file.name}, line {line}"
        names = [name for name in row if name not in _KEYS]
        for name in names:
            _number(where, row, name)
        alternatives = shown.setdefault((row["BLOCK"], row["QES"]), [])
        if any(each["ALT"] == row["ALT"] for each in alternatives):
            raise ValueError(f"{where}: alternative {row['ALT']} of a question stands twice")
        alternatives.append(row)
    return shown, names


def _answered(where: str, person: Row, shown: Design) -> Iterator[tuple[str, Row, bool]]:
    """Yield a question's number, an alternative of it, and whether that was chosen."""
    for column, answer in person.items():
        question = _QUESTION.match(column)
        if question is None or answer in _UNANSWERED:
            continue
        alternatives = shown.get((person["BLOCK"], question[1]))
        if alternatives is None:
            block = person["BLOCK"]
            raise ValueError(f"{where}: the design has no question {question[1]} of block {block}")
        if len(alternatives) == 1:
            alternatives = [*alternatives, {"ALT": _NONE}]
            answer = _NONE if answer == "0" else answer  # noqa: PLW2901 - the same answer
        if answer not in [each["ALT"] for each in alternatives]:
            raise ValueError(f"{where}: {column} is {answer!r}, no alternative of the question")
        for each in alternatives:
            yield question[1], each, each["ALT"] == answer


def _lines(file: Path, columns: Sequence[str]) -> Iterator[tuple[int, Row]]:
    with file.open(newline="", encoding="utf-8-sig") as opened:
        reader = csv.DictReader(opened)
        if missing := [name for name in columns if name not in (reader.fieldnames or ())]:
            raise ValueError(f"{file.name} has no column {', '.join(missing)}")
        for row in reader:
            if None in row or None in row.values():
                text = "there are not as many fields as columns"
                raise ValueError(f"{file.name}, line {reader.line_num}: {text}")
            yield reader.line_num, row


def _number(where: str, row: Row, name: str) -> float:
    try:
        value = float(row[name])
    except ValueError:
        value = float("nan")
    if not isfinite(value):
        raise ValueError(f"{where}: {name} is {row[name]!r}, not a number")
    return value


def _written(name: str) -> str:
    return re.sub(r"[_.\s]+", "-", name.strip().lower())
