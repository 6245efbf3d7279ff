"""One loaded release, as the terminology service asks for it: `terminology.loaded.LoadedSystem`.

Codes and who is above whom are asked of memory, names and properties of the database.
"""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import msgspec

from fhir_server.store.concepts import NAMES, number
from fhir_server.store.concepts.image import Image
from fhir_server.store.connection import Database, Row
from fhir_server.store.search.dialect import words_of
from fhir_server.store.search.keys import fold
from r4.json import Resource
from terminology.loaders.rf2 import REPLACED_BY, SAME_AS

_REPLACEMENTS = ("", SAME_AS, REPLACED_BY)
"""The associations whose targets stand in the place of a code; others name what may be meant."""
_COUNTED = 2000
"""Names that are looked at to say how many there are; with more, nobody waits for their number."""
_FURTHER = 50_000
"""Names that are looked at at a time where the first ones hold too few that are wanted."""
_OF_SQLITE = (
    "SELECT rowid AS id FROM concept_text WHERE concept_text MATCH ? AND rowid BETWEEN ? AND ?"
    " ORDER BY rowid LIMIT ?"
)
_OF_POSTGRESQL = (
    "WITH found AS MATERIALIZED (SELECT id FROM concept_text WHERE words @@ ?::text::tsquery"
    " AND id BETWEEN ? AND ?) SELECT id FROM found ORDER BY id LIMIT ?"
)
"""The index is asked, and what it finds is put in order: unasked, it may be looked for in that order."""
_OF_THE_SHORTEST = (
    "SELECT id FROM (SELECT id, words FROM concept_text WHERE id BETWEEN ? AND ?"
    " ORDER BY id LIMIT 20000) AS shortest WHERE words @@ ?::text::tsquery ORDER BY id LIMIT ?"
)
"""Words that are in every tenth name are found among the shortest, without asking the index."""
_HELD = 64
"""Reference sets that are held in memory."""
_REMEMBERED = 10_000
"""Concepts whose names are held in memory: a release does not change."""


class Concept:
    """A concept of a loaded release; its names and properties are read when they are asked for."""

    def __init__(self, system: "System", place: int, names: Sequence[Row] | None = None) -> None:
        self._system, self._place = system, place
        if names is not None:
            self._names = names

    @property
    def code(self) -> str:
        """Return the code."""
        return self._system.image.codes[self._place]

    @property
    def is_active(self) -> bool:
        """Tell whether the code may still be used."""
        return bool(self._system.image.active[self._place])

    @property
    def display(self) -> str | None:
        """Return the preferred term."""
        return self._names[0][3] if self._names else None

    @property
    def designations(self) -> Sequence[Resource]:
        """Return the terms, the preferred one first."""
        return [self._designation(language, use, term) for _, language, use, term in self._names]

    @property
    def properties(self) -> Sequence[tuple[str, Any]]:
        """Return what the release says of the concept, and the codes directly above and below it."""
        held, codes = self._system.image, self._system.image.codes
        rows = self._system.read("SELECT properties FROM concept WHERE id = ?", self._place)
        stated = [(name, value) for name, value in msgspec.json.decode(rows[0][0])]
        stated += [("parent", codes[place]) for place in held.parents.of(self._place)]
        stated += [("child", codes[place]) for place in held.children.of(self._place)]
        return [*stated, ("inactive", not self.is_active)]

    @property
    def replaced_by(self) -> Sequence[str]:
        """Return the codes that stand in the place of one that is inactive."""
        rows = self._system.read(
            "SELECT association, target FROM concept_replacement WHERE concept = ? ORDER BY id",
            self._place,
        )
        return [target for association, target in rows if association in _REPLACEMENTS]

    @cached_property
    def _names(self) -> Sequence[Row]:
        return self._system.read(
            "SELECT rank, language, use, term FROM concept_name WHERE concept = ?"
            " ORDER BY rank, id",
            self._place,
        )

    def _designation(self, language: str, use: str, term: str) -> Resource:
        found: Resource = {"language": language}
        if use:
            found["use"] = {"system": self._system.url, "code": use}
        return {**found, "value": term}


@dataclass(frozen=True, slots=True, eq=False)
class System:
    """A loaded release of a code system; is_complete: whether a code it lacks does not exist."""

    url: str
    version: str
    is_complete: bool
    image: Image = field(repr=False)
    _database: Database = field(repr=False)
    _first: int
    _members: "dict[str, array[int]]" = field(default_factory=dict, repr=False)
    _concepts: dict[int, Concept] = field(default_factory=dict, repr=False)

    def concept(self, code: str, /) -> Concept | None:
        """Return the concept of a code, or of one that is another way to write it."""
        place = self.image.number(code)
        if place is None:
            return None
        if (found := self._concepts.get(place)) is None:
            if len(self._concepts) >= _REMEMBERED:
                self._concepts.clear()
            found = self._concepts[place] = Concept(self, place)
        return found

    def subsumes(self, ancestor: str, descendant: str, /) -> bool:
        """Tell whether one code is above another; each is above itself."""
        above, below = self.image.number(ancestor), self.image.number(descendant)
        if above is None or below is None:
            return False
        return above == below or self.image.ancestors.holds(below, above)

    def ancestors(self, code: str, /) -> Iterator[str]:
        """Yield every code above a code."""
        place = self.image.number(code)
        for above in self.image.ancestors.of(place) if place is not None else ():
            yield self.image.codes[above]

    def descendants(self, code: str, /) -> Iterator[str]:
        """Yield every code below a code, each once, nearer ones first."""
        place = self.image.number(code)
        layer = [] if place is None else [place]
        found: set[int] = set()
        while layer:
            below = [child for each in layer for child in self.image.children.of(each)]
            layer = [each for each in dict.fromkeys(below) if each not in found]
            found.update(layer)
            for each in layer:
                yield self.image.codes[each]

    def is_member(self, refset: str, code: str, /) -> bool:
        """Tell whether a reference set holds a code."""
        place, held = self.image.number(code), self._held(refset)
        if place is None:
            return False
        found = bisect_left(held, place)
        return found < len(held) and held[found] == place

    def members(self, refset: str, /) -> Iterator[str]:
        """Yield the codes that a reference set holds."""
        for place in self._held(refset):
            yield self.image.codes[place]

    def search(
        self,
        words: str,
        language: str | None,
        within: Callable[[str], bool] | None,
        offset: int,
        count: int,
        /,
    ) -> tuple[list[Concept], int | None]:
        """Return a page of the active concepts with a term that has every word; the last may be begun.

        Shorter terms first; without words, in the order of the release.
        """
        wanted = [each for word in words_of(words) for each in words_of(fold(word))]
        codes = self.image.codes
        total: int | None
        if wanted:
            found, total = self._found(wanted, language, within, offset + count)
        elif words.strip():
            found, total = [], 0
        else:
            found = [place for place, active in enumerate(self.image.active) if active]
            if within is not None:
                found = [place for place in found if within(codes[place])]
            total = len(found)
        return self._named(found[offset : offset + count]), total

    def read(self, sql: str, place: int) -> list[Row]:
        """Run a query about one concept."""
        return self._database.read(sql, (self._first + place,))

    def _found(
        self,
        words: Sequence[str],
        language: str | None,
        within: Callable[[str], bool] | None,
        wanted: int,
    ) -> tuple[list[int], int | None]:
        """Return the numbers of the active concepts with such a name, shorter names first, and how many.

        At least so many as are wanted, or all; of words that are too common to be counted, None.
        """
        found: dict[int, None] = {}
        codes, active = self.image.codes, self.image.active
        after, many = self._first - 1, _COUNTED
        while True:
            rows = self._matches(words, language, after, many)
            for place in (number(concept) for _, concept in rows if concept is not None):
                if (
                    place not in found
                    and active[place]
                    and (within is None or within(codes[place]))
                ):
                    found[place] = None
            if len(rows) < many:
                return list(found), len(found)
            if len(found) >= wanted:
                return list(found), None
            after, many = rows[-1][0], _FURTHER

    def _matches(
        self, words: Sequence[str], language: str | None, after: int, many: int
    ) -> list[Row]:
        """Return so many (row of the index, concept) of names in their order after a row.

        The concept is None where the name is in another language.
        """
        last = self._first + (1 << 32) - 1
        if self._database.dialect.name == "sqlite":
            expression = " AND ".join(f'"{word}"' for word in words) + "*"
            asked: list[tuple[str, Row]] = [(_OF_SQLITE, (expression, after + 1, last, many))]
        else:
            expression = " & ".join(f"'{word}'" for word in words) + ":*"
            asked = [(_OF_POSTGRESQL, (expression, after + 1, last, many))]
            if after < self._first:
                asked.insert(0, (_OF_THE_SHORTEST, (after + 1, last, expression, many)))
        languages = () if language is None else (language, language.partition("-")[0])
        spoken = " AND n.language IN (?, ?)" if languages else ""
        rows: list[Row] = []
        for matches, parameters in asked:
            rows = self._database.read(
                f"SELECT t.id, n.concept FROM ({matches}) AS t LEFT JOIN concept_name AS n"
                f" ON n.id = {self._first} + (t.id & {(1 << NAMES) - 1}){spoken} ORDER BY t.id",
                (*parameters, *languages),
            )
            if len(rows) == many:
                break
        return rows

    def _named(self, places: Sequence[int]) -> list[Concept]:
        """Return concepts with their names, read at once."""
        if not places:
            return []
        among = self._database.dialect.among("concept", [self._first + place for place in places])
        names: dict[int, list[Row]] = {place: [] for place in places}
        for concept, *name in self._database.read(
            "SELECT concept, rank, language, use, term FROM concept_name"
            f" WHERE {among.text} ORDER BY rank, id",
            among.parameters,
        ):
            names[number(concept)].append(name)
        return [Concept(self, place, listed) for place, listed in names.items()]

    def _held(self, refset: str) -> "array[int]":
        """Return the sorted numbers of a reference set's concepts, read when first asked for."""
        if (held := self._members.get(refset)) is not None:
            return held
        rows = self._database.read(
            "SELECT DISTINCT concept FROM concept_member"
            " WHERE refset = ? AND id BETWEEN ? AND ? ORDER BY concept",
            (refset, self._first, self._first + (1 << 32) - 1),
        )
        if len(self._members) >= _HELD:
            self._members.clear()
        held = array("I", (number(row) for (row,) in rows))
        self._members[refset] = held
        return held
