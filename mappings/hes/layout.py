"""How a file of deaths is laid out: the operator's TOML file says it, for nothing public does.

Which heading holds which datum, how dates are written, and what parts the columns, is in the
specification that came with the extract. Without it no file of deaths is read.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from mappings.hes.lines import RefusalError

_DEATH = ("record", "died", "nhs_number", "birth", "person")
_BRIDGE = ("record", "person")
_PARTS = {"YYYY": r"(?P<year>[0-9]{4})", "MM": r"(?P<month>[0-9]{2})", "DD": r"(?P<day>[0-9]{2})"}


@dataclass(frozen=True, slots=True)
class Layout:
    """A layout: the delimiter, the form of a date, the values that mean that nothing is known.

    death, bridge: the headings of data by their names (`record`, `died`, `nhs_number`, `birth`,
    `person`), in capitals; `bridge` is empty where the layout tells of no bridge.
    """

    delimiter: str
    dates: str
    unknown: frozenset[str]
    death: Mapping[str, str]
    bridge: Mapping[str, str]

    def day(self, text: str, heading: str) -> date:
        """Read a date; raises RefusalError for what is none in the layout's form."""
        found = re.fullmatch(_pattern(self.dates), text)
        try:
            if found:
                return date(int(found["year"]), int(found["month"]), int(found["day"]))
        except ValueError:
            pass
        raise RefusalError(f"has something in {heading} that is no date ({self.dates})")


def layout(text: str) -> Layout:
    """Read a layout; raises ValueError with what is to be mended."""
    try:
        given = tomllib.loads(text)
        _only(given, ("delimiter", "date", "unknown", "death", "bridge"), "the layout")
        death = _headings(given["death"], _DEATH, "[death]")
        bridge = _headings(given["bridge"], _BRIDGE, "[bridge]") if "bridge" in given else {}
        found = Layout(
            _delimiter(given["delimiter"]), _dates(given["date"]),
            frozenset({"", *_texts(given.get("unknown", []))}), death, bridge,
        )  # fmt: skip
        _refuse_incomplete(found)
    except (KeyError, TypeError, ValueError) as wrong:
        said = f"{wrong.args[0]} is missing" if isinstance(wrong, KeyError) else wrong
        raise ValueError(f"The layout does not say how the file is to be read: {said}.") from None
    return found


def _refuse_incomplete(found: Layout) -> None:
    for table, wanted in ((found.death, ("record", "died")), (found.bridge, _BRIDGE)):
        for name in wanted if table else ():
            if name not in table:
                raise KeyError(name)
    if not ({"nhs_number", "person"} & set(found.death) or found.bridge):
        raise ValueError(
            "nothing tells whose death it is: give nhs_number or person in [death], or [bridge]"
        )


def _headings(table: Any, allowed: tuple[str, ...], where: str) -> dict[str, str]:
    if not isinstance(table, dict):
        raise TypeError(f"{where} is a table")
    _only(table, allowed, where)
    read = dict(
        zip(table, (each.strip().upper() for each in _texts(list(table.values()))), strict=True)
    )
    if not all(read.values()):
        raise ValueError(f"{where} has a heading that is blank")
    return read


def _only(table: Mapping[str, Any], allowed: tuple[str, ...], where: str) -> None:
    if wrong := sorted(set(table) - set(allowed)):
        raise ValueError(f"{where} has `{wrong[0]}`; known are {', '.join(allowed)}")


def _texts(listed: Any) -> list[str]:
    if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
        raise ValueError("headings and unknown values are texts")
    return listed


def _delimiter(given: Any) -> str:
    if not isinstance(given, str) or len(given) != 1 or given.isalnum() or given in '"\r\n':
        raise ValueError("delimiter is one character, no letter, digit or quote")
    return given


def _dates(given: Any) -> str:
    if not isinstance(given, str) or any(given.count(part) != 1 for part in _PARTS):
        raise ValueError("date is the form of a date, of YYYY, MM and DD, each once: DD/MM/YYYY")
    return given


def _pattern(dates: str) -> str:
    written = re.escape(dates)
    for part, pattern in _PARTS.items():
        written = written.replace(part, pattern)
    return written
