"""What is seen, as SQL: hospitals see their own children's versions, their own and everybody's.

What somebody objects to is left out for whoever reads for that use (ADR 0057), and what the queries of
scopes do not find for whoever has such scopes (ADR 0070).

Every statement that reads versions reads them from a relation of the table's name that holds those
alone, so that nothing is found, counted, sorted or followed that is not seen; what it finds is what it
would find in a database that holds nothing else. A statement that reads anything else is refused.
https://sqlite.org/lang_with.html
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec

from fhir_server.store.connection import Connection, Row
from fhir_server.store.scoped import Scoped, shown
from fhir_server.store.search.dialect import POSTGRESQL, SQLITE, Dialect
from fhir_server.store.search.keys import key, place
from fhir_server.store.search.sql import Sql
from fhir_server.store.search.values import asked
from fhir_server.store.uses import READING, Use, undisclosed, unused
from terminology.systems import ODS_ORGANIZATION

_READ = re.compile(r"\b(?:FROM|JOIN)\s+([a-z_]+)")
_RESOURCE = re.compile(r"\bresource\b")
_OPEN = frozenset({"search_reference", "search_index", "job", "closure_concept", "unnest"})
"""What a hospital's statement may read by itself: nothing that says anything of anybody by its rows."""
_BESIDE = _OPEN | {
    "resource", "content", "search_key", "search_text", "search_date", "search_number",
    "search_string", "search_identifier",
}  # fmt: skip
"""What it may read beside the versions: their bodies and index rows, by their rows."""


class View(msgspec.Struct, frozen=True):
    """What is seen: by which hospitals, or for which use; of which child; by which queries of scopes.

    hospitals: each the word of its ODS code among identifiers; None: not by hospitals, but by the
    registry. use: what the registry reads for. child: the place of the one Patient of whose record
    alone anything is seen, beside what is everybody's. scoped: what queries of scopes narrow; letters: those
    of scopes whose queries do so now.
    """

    hospitals: tuple[int, ...] | None
    use: Use | None = None
    child: int | None = None
    scoped: tuple[Scoped, ...] = ()
    letters: str = "rs"

    @property
    def is_of_some(self) -> bool:
        """Whether it is of some children alone: a hospital's, or one."""
        return self.hospitals is not None or self.child is not None

    @property
    def narrowing(self) -> tuple[Scoped, ...]:
        """What the queries of its letters narrow."""
        return tuple(each for each in self.scoped if each.letter in self.letters)

    @property
    def is_everything(self) -> bool:
        """Whether nothing is left out."""
        return not (self.is_of_some or self.use or self.narrowing)

    def queries(self, letter: str, resource_type: str) -> tuple[str, ...]:
        """Return the queries by which a letter reaches a type; none: it reaches all of it."""
        found = (
            each for each in self.scoped if (each.letter, each.type) == (letter, resource_type)
        )
        return next((each.queries for each in found), ())


def view(
    codes: Sequence[str] | None, child: str | None = None, scoped: tuple[Scoped, ...] = ()
) -> View:
    """Return what the hospitals of ODS codes see, None for all; of one child alone, as `Patient/1`."""
    words = (key("Organization", "identifier", asked(ODS_ORGANIZATION, c)) for c in codes or ())
    only = None if child is None else place("Patient", child.partition("/")[2])
    return View(None if codes is None else tuple(sorted(words)), child=only, scoped=scoped)


def _is_seen(seen: View, at: str, dialect: Dialect) -> Sql:
    """Return SQL for: the version `at` is seen."""
    found = [Sql(_is_of_who_sees(seen, at, dialect), ())] if seen.is_of_some or seen.use else []
    found += [shown(seen.narrowing, at, dialect)] if seen.narrowing else []
    values = tuple(value for each in found for value in each.parameters)
    return Sql(" AND ".join(each.text for each in found), values)


def _is_of_who_sees(seen: View, at: str, dialect: Dialect) -> str:
    if seen.hospitals is None:
        found = unused(seen.use or READING, at, dialect)
    else:
        found = _is_the_hospitals(seen.hospitals, at, dialect)
    if seen.child is None:
        return found
    return f"(({at}.whose IS NULL OR {at}.whose = {seen.child}) AND {found})"


def _is_the_hospitals(hospitals: tuple[int, ...], at: str, dialect: Dialect) -> str:
    if not hospitals:
        return f"{at}.whose IS NULL"
    listed = ", ".join(map(str, hospitals))
    return (
        f"({at}.whose IS NULL OR EXISTS (SELECT 1 FROM custody AS c JOIN site AS s"
        f" ON s.organization = c.organization WHERE c.whose = {at}.whose AND s.hospital IN ({listed}))"
        f" OR EXISTS (SELECT 1 FROM site AS s WHERE s.organization = {at}.whose"
        f" AND s.hospital IN ({listed})))"
        f" AND {undisclosed(listed, at, dialect)}"
    )


_DIALECTS = {each.name: each for each in (SQLITE, POSTGRESQL)}


@lru_cache(maxsize=4096)
def narrowed(sql: str, seen: View, name: str) -> Sql:
    """Return a statement that reads what is seen alone; name: that of the database's dialect.

    Its parameters come before those of the statement. Raises ValueError for one that reads what no
    hospital may.
    """
    if seen.is_everything:
        return Sql(sql, ())
    reads_versions = _RESOURCE.search(sql) is not None
    allowed = _BESIDE if reads_versions else _OPEN
    if closed := {each for each in _READ.findall(sql) if each not in allowed}:
        raise ValueError(f"no hospital may read {', '.join(sorted(closed))}")
    if not reads_versions:
        return Sql(sql, ())
    dialect = _DIALECTS[name]
    found = _is_seen(seen, "v", dialect)
    relation = f"SELECT v.* FROM {dialect.versions} AS v WHERE {found.text}"
    return Sql(f"WITH resource AS NOT MATERIALIZED ({relation}) {sql}", found.parameters)


class SeenConnection:
    """A writer's connection that reads as hospitals see: what a guard of theirs is asked by."""

    def __init__(self, connection: Connection, seen: View) -> None:
        self._connection, self._view = connection, seen
        dialect = connection.dialect
        self.dialect: Dialect = dialect if seen.is_everything else dialect.narrowed()

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Run a statement and return its rows."""
        made = narrowed(sql, self._view, self.dialect.name)
        return self._connection.read(made.text, (*made.parameters, *parameters))

    def read_each(self, sql: str, parameters: Sequence[Any], column: int, /) -> list[Row]:
        """Run a statement about several keys and return its rows."""
        del column
        return self.read(sql, parameters)
