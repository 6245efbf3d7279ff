"""Canonical urls with their versions.

https://hl7.org/fhir/R4/references.html#canonical
"""

import re
from collections.abc import Iterable

_PARTS = re.compile(r"\d+|[A-Za-z]+")


def split(canonical: str) -> tuple[str, str | None]:
    """Return the url and the version of `url|version`; a `#fragment` belongs to neither."""
    url, _, version = canonical.partition("#")[0].partition("|")
    return url, version or None


def newest(versions: Iterable[str]) -> str:
    """Return the version that comes last: numbers by value, and 1.0.0 after 1.0.0-ballot.

    Raises ValueError where there is none. https://semver.org/#spec-item-11
    """
    return max(versions, key=_order)


def _order(version: str) -> tuple[list[tuple[bool, int, str]], bool, list[tuple[bool, int, str]]]:
    release, _, label = version.partition("+")[0].partition("-")
    return _parts(release), not label, _parts(label)


def _parts(text: str) -> list[tuple[bool, int, str]]:
    return [
        (False, int(part), "") if part.isdigit() else (True, 0, part)
        for part in _PARTS.findall(text)
    ]
