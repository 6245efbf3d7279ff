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


_NOTHING = Site()


def site(sender: str) -> Site:
    """Return the habits of a sender (MSH-4)."""
    return every().get(sender, _NOTHING)


@cache
def every() -> dict[str, Site]:
    """Read every site file. Raises ValueError where an entry lacks a key or its reason."""
    folder = files("mappings.sites")
    return {
        entry.name[:-5]: _site(entry.name, tomllib.loads(entry.read_text(encoding="utf-8")))
        for entry in folder.iterdir()
        if entry.name.endswith(".toml")
    }


def _site(name: str, content: dict[str, Any]) -> Site:
    authorities = content.pop("authority", [])
    concept_maps = content.pop("vocabulary", [])
    if content:
        raise ValueError(f"mappings/sites/{name}: unknown entries {sorted(content)}")
    try:
        return Site(
            {entry["field"]: entry["kind"] for entry in authorities},
            {entry["name"]: entry["concept-map"] for entry in concept_maps},
            tuple(entry["reason"] for entry in [*authorities, *concept_maps]),
        )
    except KeyError as problem:
        raise ValueError(f"mappings/sites/{name}: an entry lacks {problem}") from None
