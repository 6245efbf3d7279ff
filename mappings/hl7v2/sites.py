"""One hospital's habits, where no tolerant rule for all can decide: `mappings/sites/<ODS>.toml`.

Each entry gives its reason. `[[authority]]` says whose numbers an untyped identifier field holds;
`[[vocabulary]]` puts the hospital's own ConceptMap in the place of the common one.
"""

import tomllib
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True, slots=True)
class Site:
    """What one hospital does differently; an unknown sender does nothing differently."""

    authorities: dict[str, str] = field(default_factory=dict)
    concept_maps: dict[str, str] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()


NOTHING = Site()
"""What a hospital without a file does differently."""


def site(sender: str) -> Site:
    """Return the habits of a sender (MSH-4)."""
    return every().get(sender, NOTHING)


@cache
def every() -> dict[str, Site]:
    """Read every site file. Raises ValueError where an entry lacks a key or its reason."""
    return {
        name.removeprefix("sites/")[:-5]: _site(name, tomllib.loads(content.decode()))
        for name, content in sources().items()
    }


def sources() -> dict[str, bytes]:
    """Read every site file of this package by its name, `sites/RGT.toml`."""
    return {
        f"sites/{entry.name}": entry.read_bytes()
        for entry in files("mappings.sites").iterdir()
        if entry.name.endswith(".toml")
    }


def _site(name: str, content: dict[str, Any]) -> Site:
    authorities = content.pop("authority", [])
    concept_maps = content.pop("vocabulary", [])
    if content:
        raise ValueError(f"mappings/{name}: unknown entries {sorted(content)}")
    try:
        return Site(
            {entry["field"]: entry["kind"] for entry in authorities},
            {entry["name"]: entry["concept-map"] for entry in concept_maps},
            tuple(entry["reason"] for entry in [*authorities, *concept_maps]),
        )
    except KeyError as problem:
        raise ValueError(f"mappings/{name}: an entry lacks {problem}") from None
