"""What the operator's TOML files of connections have in common: names, hospitals and hashes."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

_ODS = re.compile(r"[A-Z0-9]{3,6}\Z")
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")


def only(table: Mapping[str, Any], allowed: Iterable[str], where: str) -> None:
    """Raise ValueError where a table has a key that is not allowed; where: the table in words."""
    if wrong := sorted(set(table) - set(allowed)):
        raise ValueError(f"{where} has `{wrong[0]}`; known are {', '.join(sorted(allowed))}.")


def text(table: Mapping[str, Any], name: str) -> str:
    """Return the text at a key; raises KeyError where there is none, ValueError where it is no text."""
    value = table[name]
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} must be a text.")
    return value


def is_ods(code: str) -> bool:
    """Tell whether a text has the form of an ODS code."""
    return _ODS.match(code) is not None


def hospitals(listed: Any, whose: str) -> frozenset[str]:
    """Return a list of ODS codes as a set; raises ValueError; whose: as `the sender oxford`."""
    if not isinstance(listed, list) or not listed:
        raise ValueError(f"hospitals of {whose} must be a list of ODS codes.")
    if wrong := [each for each in listed if not (isinstance(each, str) and is_ods(each))]:
        raise ValueError(f"hospitals of {whose} has `{wrong[0]}`, which is no ODS code.")
    return frozenset(listed)


def hashes(listed: Any, name: str, whose: str, how: str) -> tuple[str, ...]:
    """Return one SHA-256, or a list of them, in lower case without colons; raises ValueError.

    how: what prints one, as a command.
    """
    found = []
    for written in [listed] if isinstance(listed, str) else listed:
        plain = str(written).replace(":", "").lower()
        if not _SHA256.match(plain):
            raise ValueError(
                f"{name} of {whose} must be 64 hexadecimal digits, as `{how}` prints them."
            )
        found.append(plain)
    return tuple(found)
