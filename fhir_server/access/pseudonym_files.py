"""What pseudonyms are made by: the secrets of a key file, and the policy of the operator.

The key file is made for the server's account alone where it is not there; the policy nobody can make
but the operator. Without either nobody is let in as an analyst.
"""

import re
import secrets
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from fhir_server.access.keys import write_once
from fhir_server.access.tables import only, text

BirthDate = Literal["month", "year"]
Postcode = Literal["none", "district"]
_LENGTHS = {"tokens": 64, "shifts": 32}
"""Bytes of each secret: the key of AES-SIV (RFC 5297, 256 bits), and that of HMAC-SHA-256."""
_LONGEST = 3650
"""Most days by which a policy may shift."""
_MADE = """\
# The pseudonyms of this registry are made by these secrets: whoever reads them can undo them all.
tokens = "{tokens}"
shifts = "{shifts}"
"""
_POLICY = ("version", "approved", "shift_days", "birth_date", "postcode")


class Secrets(NamedTuple):
    """The secrets of a key file: by which ids become tokens, and by which children's dates are shifted."""

    tokens: bytes
    shifts: bytes


class Policy(NamedTuple):
    """What the operator has decided; approved says who did and when.

    Dates are shifted back by `least` to `most` days. birth_date: to the month or the year. postcode: its
    district, or nothing.
    """

    version: str
    approved: str
    least: int
    most: int
    birth_date: BirthDate
    postcode: Postcode


def read_secrets(file: Path) -> Secrets:
    """Read a key file, made where it is not there; raises ValueError, which quotes nothing of it."""
    if not file.exists():
        drawn = {name: secrets.token_hex(length) for name, length in _LENGTHS.items()}
        write_once(file, _MADE.format(**drawn).encode())
    try:
        held = tomllib.loads(file.read_text())
        found = Secrets(*(bytes.fromhex(text(held, name)) for name in _LENGTHS))
    except (OSError, ValueError, KeyError):
        found = None
    lengths = tuple(map(len, found or ()))
    if found is None or lengths != tuple(_LENGTHS.values()):
        said = " and ".join(f"`{name}` ({2 * length})" for name, length in _LENGTHS.items())
        raise ValueError(f"{file} must hold {said}, each that many hexadecimal digits.")
    return found


def read_policy(file: Path) -> Policy:
    """Read a policy; raises ValueError that says what is wrong with it."""
    try:
        return _policy(tomllib.loads(file.read_text()))
    except KeyError as missing:
        raise ValueError(f"{file} is no policy of pseudonyms: it has no {missing}.") from None
    except (OSError, ValueError) as wrong:
        raise ValueError(f"{file} is no policy of pseudonyms: {wrong}") from None


def _policy(table: Mapping[str, Any]) -> Policy:
    only(table, _POLICY, "it")
    days = table["shift_days"]
    if not isinstance(days, list) or [type(each) for each in days] != [int, int]:
        raise ValueError("shift_days is [least, most], whole days.")
    least, most = days
    if not 0 < least < most <= _LONGEST:
        raise ValueError(f"shift_days is from 1 day on, to more, to at most {_LONGEST}.")
    birth_date, postcode = table["birth_date"], table["postcode"]
    if birth_date not in get_args(BirthDate):
        raise ValueError("birth_date is month or year.")
    if postcode not in get_args(Postcode):
        raise ValueError("postcode is none or district.")
    version = text(table, "version")
    if not re.fullmatch(r"[\w.-]{1,32}", version):
        raise ValueError("version is a short word, as 2026-1.")
    return Policy(version, text(table, "approved"), least, most, birth_date, postcode)
