"""One hospital's habits, where no tolerant rule for all can decide: `sites/<ODS>.toml`.

Each entry gives its reason. `[[authority]]` says whose numbers an untyped identifier field holds;
`[[vocabulary]]` puts the hospital's own ConceptMap in the place of the common one; `[[system]]` says
which code system the hospital means by a name.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol

from mappings.hl7v2 import tables
from r4.json import Resource


class Translator(Protocol):
    """What the mapping asks of terminology: the Codings that a ConceptMap gives a code."""

    def translate(self, concept_map_url: str, system: str, code: str) -> Sequence[Resource]:
        """List the target Codings; empty where the code is not mapped."""
        ...


@dataclass(frozen=True, slots=True)
class Site:
    """What one hospital does differently; an unknown sender does nothing differently.

    `systems` has the names of coding systems in upper case; `translators` holds, by its url, each
    ConceptMap that the server's terminology does not have.
    """

    authorities: Mapping[str, str] = field(default_factory=dict)
    concept_maps: Mapping[str, str] = field(default_factory=dict)
    systems: Mapping[str, str] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    translators: Mapping[str, Translator] = field(default_factory=dict)


NOTHING = Site()
"""What a hospital without a file does differently."""

ENTRIES = {
    "authority": ("field", "kind"),
    "vocabulary": ("name", "concept-map"),
    "system": ("name", "uri"),
}
"""What a site file may hold, and what each entry must have beside its reason."""

_FIELD = re.compile(r"[A-Z][A-Z0-9]{2}-\d+\Z")
_URI = re.compile(r"(?:https?://|urn:)\S+\Z")


def site(sender: str) -> Site:
    """Return the habits of a sender (MSH-4), as this package knows them."""
    return every().get(sender, NOTHING)


@cache
def every() -> Mapping[str, Site]:
    """Read every site file of this package. Raises ValueError as `read`."""
    return {
        name.removeprefix("sites/")[:-5]: read(name, content)
        for name, content in tables.sources().items()
        if name.startswith("sites/")
    }


def read(name: str, content: bytes) -> Site:
    """Read a site file. Raises ValueError, naming file and line, for an entry that is not whole."""
    try:
        text = content.decode()
        found = tomllib.loads(text)
    except ValueError as problem:  # no UTF-8, or no TOML: tomllib says at which line
        raise ValueError(f"{name}: {problem}") from None
    if unknown := sorted(set(found) - set(ENTRIES)):
        raise ValueError(f"{name}: unknown entries {unknown}; there are {', '.join(ENTRIES)}")
    for kind in ENTRIES:
        for number, wrong in _problems(kind, found.get(kind, [])):
            raise ValueError(f"{name}, line {_line(text, kind, number)}: [[{kind}]] {wrong}")
    authorities, vocabularies, coded = (found.get(kind, []) for kind in ENTRIES)
    return Site(
        {entry["field"]: entry["kind"] for entry in authorities},
        {entry["name"]: entry["concept-map"] for entry in vocabularies},
        {entry["name"].upper(): entry["uri"] for entry in coded},
        tuple(entry["reason"] for entry in [*authorities, *vocabularies, *coded]),
    )


def _problems(kind: str, entries: Any) -> Iterator[tuple[int, str]]:
    """Yield the number of an entry and what is wrong with it."""
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        yield 0, f"is to be written as [[{kind}]], once for each"
        return
    wanted, seen = ENTRIES[kind], set()
    for number, entry in enumerate(entries):
        for key in (*wanted, "reason"):
            if not isinstance(entry.get(key), str) or not entry[key].strip():
                yield number, f"lacks '{key}'"
        if more := sorted(set(entry) - {*wanted, "reason"}):
            yield number, f"has no {', '.join(more)}"
        about, says = (str(entry.get(key, "")) for key in wanted)
        if about.upper() in seen:
            yield number, f"says twice what {about} is"
        seen.add(about.upper())
        if problem := _CHECKS[kind](about, says):
            yield number, problem


def _authority(about: str, says: str) -> str:
    if not _FIELD.match(about):
        return f"`{about}` is no field, as PID-2 is"
    known = ", ".join(tables.kinds())
    return "" if says in tables.kinds() else f"there is no kind of number {says}, but {known}"


def _vocabulary(about: str, _: str) -> str:
    return "" if about in tables.vocabularies() else f"there is no vocabulary {about}"


def _system(_: str, says: str) -> str:
    return "" if _URI.match(says) else f"`{says}` is no URI"


_CHECKS = {"authority": _authority, "vocabulary": _vocabulary, "system": _system}


def _line(text: str, kind: str, number: int) -> int:
    """Find the line on which an entry begins, counted from 1."""
    heads = re.finditer(rf"^[ \t]*\[\[?[ \t]*{kind}[ \t]*\]", text, re.MULTILINE)
    starts = [match.start() for match in heads]
    return text.count("\n", 0, starts[number]) + 1 if number < len(starts) else 1


def merged(ours: Site, theirs: Site) -> Site:
    """Return what two files say of one hospital; where they differ, the second one counts."""
    return Site(
        {**ours.authorities, **theirs.authorities},
        {**ours.concept_maps, **theirs.concept_maps},
        {**ours.systems, **theirs.systems},
        (*ours.reasons, *theirs.reasons),
        {**ours.translators, **theirs.translators},
    )
