"""Searches that words alone answer, as criteria of conditional writes and references mostly are.

They are asked many at a time, and a commit can tell from the words of what it is about to store
whether that would be found too. https://hl7.org/fhir/R4/http.html#cond-update
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol
from urllib.parse import unquote

from fhir_server.store.search.conditions import Place, criterion, token_text
from fhir_server.store.search.dialect import Dialect
from fhir_server.store.search.keys import key
from fhir_server.store.search.parameters import parameters
from fhir_server.store.search.query import Criterion, Query
from fhir_server.store.search.sql import Match, Sql

_MOST = 20
"""Most values of an identifier that are read here."""
_TOGETHER = 8
"""Most searches in one statement."""
_OF_WORDS = ("token", "reference")


class Reader(Protocol):
    """What reads: a database, or a connection inside a transaction."""

    @property
    def dialect(self) -> Dialect:
        """Return how the database is asked."""
        ...

    def read(self, sql: str, parameters: Sequence[Any] = (), /) -> Sequence[Sequence[Any]]:
        """Run a statement and return its rows."""
        ...

    def read_each(
        self, sql: str, parameters: Sequence[Any], column: int, /
    ) -> Sequence[Sequence[Any]]:
        """Run a statement about several keys, each row's in a column, and return its rows."""
        ...


class Worded(NamedTuple):
    """A search of what is current: of one type, with a word of each group; the newest `most`.

    by_identifier: the words are one group, of identifiers with system and value.
    """

    type: str
    words: tuple[tuple[int, ...], ...]
    most: int
    by_identifier: bool = False


def identified(resource_type: str, criteria: str, most: int) -> Worded | None:
    """Read criteria that are `identifier=system|value`, or several of them; None for any other."""
    if not criteria.startswith("identifier=") or not criteria.isascii():
        return None
    text = criteria[len("identifier=") :]
    if "&" in text or "+" in text:
        return None
    if "%" in text:
        text = unquote(text)
    listed = text.split(",")
    parameter = parameters(resource_type).get("identifier")
    if parameter is None or parameter.type != "token" or parameter.parts:
        return None
    if len(listed) > _MOST or "\\" in text or not text.isascii():
        return None
    for value in listed:
        system, _, code = value.partition("|")
        if not system or not code:
            return None
    found = [key(resource_type, "identifier", token_text(value)) for value in listed]
    return Worded(resource_type, (tuple(dict.fromkeys(found)),), most, by_identifier=True)


def worded(dialect: Dialect, query: Query) -> Worded | None:
    """Return a query of tokens and references in one type as its words; None for any other.

    Raises FhirError 400 for a value that cannot be read.
    """
    plain = Query(query.type, query.criteria, count=query.count, types=query.types, now=query.now)
    if query != plain or len(query.of_types) != 1 or not query.criteria:
        return None
    groups: list[tuple[int, ...]] = []
    for asked in query.criteria:
        if not isinstance(asked, Criterion) or asked.parameter.type not in _OF_WORDS:
            return None
        part = criterion(asked, Place(query.of_types, "r", dialect, now=query.now))
        if not isinstance(part, Match) or part.negated or not part.words:
            return None
        groups.append(part.words)
    return Worded(query.of_types[0], tuple(groups), query.count)


def ask(reader: Reader, asked: Sequence[Worded], columns: str) -> list[list[Sequence[Any]]]:
    """Return columns of what each of several searches finds, the newest first, in few statements.

    More columns, for this module alone, may follow those.
    """
    identified = [each for each in asked if each.by_identifier]
    others = [each for each in asked if not each.by_identifier]
    found = iter(_by_identifier(reader, identified, columns) if identified else ())
    rest = iter(_by_words(reader, others, columns))
    return [next(found if each.by_identifier else rest) for each in asked]


def _by_identifier(
    reader: Reader, asked: Sequence[Worded], columns: str
) -> Iterator[list[Sequence[Any]]]:
    """Ask for each identifier, in a table that is in their order, and put together what is one search."""
    wanted = list(dict.fromkeys(word for each in asked for word in each.words[0]))
    rows: dict[int, list[Sequence[Any]]] = {word: [] for word in wanted}
    for sql in reader.dialect.identified(columns, wanted, max(each.most for each in asked)):
        for row in reader.read_each(sql.text, sql.parameters, -1):
            rows[row[-1]].append(row)
    for each in asked:
        found = {row[-2]: row for word in each.words[0] for row in rows[word]}
        yield [found[rid] for rid in sorted(found, reverse=True)[: each.most]]


def _by_words(reader: Reader, asked: Sequence[Worded], columns: str) -> list[list[Sequence[Any]]]:
    found: list[list[Sequence[Any]]] = []
    for start in range(0, len(asked), _TOGETHER):
        some = asked[start : start + _TOGETHER]
        each = [_select(reader.dialect, search, columns) for search in some]
        found += [[] for _ in some]
        if len(some) == 1:
            found[start] += reader.read(each[0].text, each[0].parameters)
            continue
        text = " UNION ALL ".join(
            f"SELECT q{number}.*, {number} AS n FROM ({sql.text}) AS q{number}"
            for number, sql in enumerate(each)
        )
        for row in reader.read(text, [value for sql in each for value in sql.parameters]):
            found[start + row[-1]].append(row)
    return found


def _select(dialect: Dialect, asked: Worded, columns: str) -> Sql:
    tables, rid, found = dialect.source([Match(words) for words in asked.words])
    where = " AND ".join(each.text for each in found)
    text = (
        f"SELECT {columns} FROM {tables} WHERE {where} AND r.type = ?"
        f" AND r.superseded IS NULL AND NOT r.deleted ORDER BY {rid} DESC LIMIT ?"
    )
    bound = [value for each in found for value in each.parameters]
    return Sql(text, (*bound, asked.type, asked.most))
