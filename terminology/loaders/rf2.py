"""SNOMED CT's Release Format 2, snapshot files: tables with tabs and a header, UTF-8, no quoting.

http://snomed.org/rfs; the ids of the
associations are those of https://hl7.org/fhir/R4/snomedct.html.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence

from terminology.loaders.rows import (
    Concept,
    Lines,
    Member,
    Name,
    Parent,
    Replacement,
    tabbed,
    unreadable,
)

IS_A = "116680003"
FULLY_SPECIFIED = "900000000000003001"
SYNONYM = "900000000000013009"
PREFERRED = "900000000000548007"
DEFINED = "900000000000073002"
SAME_AS = "900000000000527005"
REPLACED_BY = "900000000000526001"
DIALECTS = ("999001261000000100", "900000000000508004", "900000000000509007")
"""Language reference sets, the first that prefers a term wins: UK clinical, British, American English."""

_ACTIVE = "1"
_FULLY_SPECIFIED_RANK, _OTHER_RANK = 50, 90
Preferred = Mapping[str, Sequence[int]]

_TIMES = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 3, 4, 0, 6, 7, 8, 9, 5), (2, 3, 4, 0, 1, 7, 8, 9, 5, 6),
    (3, 4, 0, 1, 2, 8, 9, 5, 6, 7), (4, 0, 1, 2, 3, 9, 5, 6, 7, 8), (5, 9, 8, 7, 6, 0, 4, 3, 2, 1),
    (6, 5, 9, 8, 7, 1, 0, 4, 3, 2), (7, 6, 5, 9, 8, 2, 1, 0, 4, 3), (8, 7, 6, 5, 9, 3, 2, 1, 0, 4),
    (9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
)  # fmt: skip
"""How two elements of the dihedral group of ten are multiplied, of which Verhoeff's check is made."""


def _moved() -> tuple[tuple[int, ...], ...]:
    """Return what a digit becomes at each of eight places: one permutation, over and over."""
    once = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)
    places = [tuple(range(10))]
    for _ in range(7):
        places.append(tuple(places[-1][once[digit]] for digit in range(10)))
    return tuple(places)


_MOVED = _moved()
_SHORTEST, _LONGEST = 6, 18


def has_check_digit(identifier: str) -> bool:
    """Tell whether a text is an identifier of SNOMED CT: 6 to 18 digits, Verhoeff's check digit last."""
    if not (_SHORTEST <= len(identifier) <= _LONGEST and identifier.isdecimal()):
        return False
    check = 0
    for place, digit in enumerate(reversed(identifier)):
        check = _TIMES[check][_MOVED[place % 8][int(digit)]]
    return check == 0


def with_check_digit(digits: str) -> str:
    """Return digits with the check digit that makes them an identifier."""
    return next(made for last in range(10) if has_check_digit(made := f"{digits}{last}"))


def concepts(name: str, lines: Lines) -> Iterator[Concept]:
    """Yield the concepts, active or not; raises UnreadableError for an id with a wrong check digit."""
    columns = ("id", "active", "moduleId", "definitionStatusId")
    for number, (code, active, module, status) in tabbed(name, lines, columns):
        if not has_check_digit(code):
            raise unreadable(name, number, f"{code!r} is no identifier of SNOMED CT (check digit)")
        properties = (("moduleId", module), ("sufficientlyDefined", status == DEFINED))
        yield Concept(code, active == _ACTIVE, None, properties)


def preferred(files: Iterable[tuple[str, Lines]]) -> dict[str, "array[int]"]:
    """Return, by language reference set, the sorted ids of the descriptions that it prefers."""
    found: dict[str, array[int]] = {}
    columns = ("active", "refsetId", "referencedComponentId", "acceptabilityId")
    for name, lines in files:
        for number, (active, refset, description, acceptability) in tabbed(name, lines, columns):
            if active == _ACTIVE and acceptability == PREFERRED:
                if not description.isdecimal():
                    raise unreadable(name, number, f"{description!r} is no identifier")
                found.setdefault(refset, array("Q")).append(int(description))
    return {refset: array("Q", sorted(ids)) for refset, ids in found.items()}


def names(
    name: str, lines: Lines, preferences: Preferred, dialects: Sequence[str] = DIALECTS
) -> Iterator[Name]:
    """Yield the active descriptions; the display is the synonym that the first dialect prefers."""
    order = [preferences[each] for each in dialects if each in preferences]
    order += [ids for each, ids in sorted(preferences.items()) if each not in dialects]
    columns = ("id", "active", "conceptId", "languageCode", "typeId", "term")
    for number, (key, active, code, language, kind, term) in tabbed(name, lines, columns):
        if active != _ACTIVE:
            continue
        if not key.isdecimal():
            raise unreadable(name, number, f"{key!r} is no identifier")
        yield Name(code, term, language, _rank(int(key), kind, order), kind)


def _rank(description: int, kind: str, order: Sequence[Sequence[int]]) -> int:
    if kind == FULLY_SPECIFIED:
        return _FULLY_SPECIFIED_RANK
    for rank, ids in enumerate(order[:_FULLY_SPECIFIED_RANK]):
        place = bisect_left(ids, description)
        if place < len(ids) and ids[place] == description:
            return rank
    return _OTHER_RANK


def parents(name: str, lines: Lines) -> Iterator[Parent]:
    """Yield the active is-a relationships."""
    columns = ("active", "sourceId", "destinationId", "typeId")
    for _, (active, source, destination, kind) in tabbed(name, lines, columns):
        if active == _ACTIVE and kind == IS_A:
            yield Parent(source, destination)


def members(name: str, lines: Lines) -> Iterator[Member]:
    """Yield the active members of simple reference sets."""
    columns = ("active", "refsetId", "referencedComponentId")
    for _, (active, refset, code) in tabbed(name, lines, columns):
        if active == _ACTIVE:
            yield Member(refset, code)


def replacements(name: str, lines: Lines) -> Iterator[Replacement]:
    """Yield the active historical associations, each with the id of its reference set."""
    columns = ("active", "refsetId", "referencedComponentId", "targetComponentId")
    for _, (active, refset, code, target) in tabbed(name, lines, columns):
        if active == _ACTIVE:
            yield Replacement(code, refset, target)
