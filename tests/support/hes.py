"""Fictitious rows of admitted patient care, from a seed: nobody's, and with all that the rules ask about.

Dates are close together, so that same days, gaps and overlaps are common; columns stand in any order.
"""

import random
import resource
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

from mappings.hes.tables import columns

_METHODS = ("11", "12", "13", "21", "22", "2A", "2B", "28", "81", "82", "83", "98", "99", "")
_PLACES = ("19", "19", "19", "29", "51", "52", "53", "98", "99", "")
_ENDS = ("1", "1", "1", "1", "2", "4", "5", "8", "9", "")
_PROVIDERS = ("RTH00", "RTH01", "RHM00", "RJ1", "R0A", "89997", "89999")
_CODES = ("H411", "H414", "T301", "T283", "Y713", "Y703", "H154", "K011", "-", "&", "X999", "")
_NO_DATE = ("1800-01-01", "1801-01-01", "1600-01-01", "1582-10-15", "")
_FIRST = date(2019, 1, 1)


def write(file: Path, count: int, seed: int, persons: int | None = None) -> Path:
    """Write a file of so many rows, a twentieth as many persons; the same for the same seed."""
    drawn = random.Random(seed)  # noqa: S311 - the same for the same seed
    names = [*columns(), "ROWNO"]
    drawn.shuffle(names)
    with file.open("w", encoding="utf-8", newline="") as out:
        out.write("|".join(name.lower() if drawn.random() < 0.3 else name for name in names))
        for number, row in enumerate(rows(drawn, count, persons or count // 20 + 1)):
            row["ROWNO"] = str(number)
            out.write("\n" + "|".join(row.get(name, "") for name in names))
    return file


def rows(drawn: random.Random, count: int, persons: int) -> Iterator[dict[str, str]]:
    """Yield rows by the names of columns; some keys come twice."""
    for number in range(count):
        person = f"P{drawn.randrange(persons):07}" if drawn.random() < 0.99 else ""
        yield row(drawn, person, drawn.randrange(count) if drawn.random() < 0.02 else number)


def row(drawn: random.Random, person: str, key: int) -> dict[str, str]:
    """Return one row of a person."""
    start = _FIRST + timedelta(days=drawn.randrange(150))
    end = start + timedelta(days=drawn.choice((0, 0, 1, 1, 2, 3, 5, 10, 40)))
    admitted = start - timedelta(days=drawn.choice((0, 0, 0, 0, 1, 2)))
    made = {
        "ENCRYPTED_HESID": person,
        "EPIKEY": str(10_000_000 + key),
        "EPISTAT": "3" if drawn.random() < 0.97 else "1",
        "EPISTART": start.isoformat() if drawn.random() < 0.99 else drawn.choice(_NO_DATE),
        "EPIEND": end.isoformat() if drawn.random() < 0.99 else drawn.choice(_NO_DATE),
        "EPIORDER": drawn.choice(("1", "1", "1", "2", "3", "98", "99", "")),
        "ADMIDATE": admitted.isoformat() if drawn.random() < 0.9 else drawn.choice(_NO_DATE),
        "DISDATE": end.isoformat() if drawn.random() < 0.9 else drawn.choice(_NO_DATE),
        "ADMIMETH": drawn.choice(_METHODS),
        "ADMISORC": drawn.choice(_PLACES),
        "DISMETH": drawn.choice(_ENDS),
        "DISDEST": drawn.choice(_PLACES),
        "CLASSPAT": drawn.choice(("1", "1", "2", "3", "4", "5", "8", "9")),
        "PROCODE": drawn.choice(_PROVIDERS),
        "SITETRET": '"a site | with ""quotes"""' if drawn.random() < 0.05 else "RTH01",
        "DIAG_01": drawn.choice(("Q431", "K37X", "R69X6", "")),
    }
    for place in range(1, drawn.choice((1, 1, 2, 4))):
        made[f"OPERTN_{place:02}"] = drawn.choice(_CODES)
        day = start + timedelta(days=drawn.randrange(-1, 5))
        made[f"OPDATE_{place:02}"] = (
            day.isoformat() if drawn.random() < 0.9 else drawn.choice(_NO_DATE)
        )
    return made


def resident() -> int:
    """Return the bytes of memory that this process has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()
