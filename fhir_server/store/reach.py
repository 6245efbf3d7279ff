"""What the queries of scopes let a commit write, and what it may refer to: decided where it is stored."""

from collections.abc import Iterable, Mapping, Sequence

from fhir_server.store.connection import Connection
from fhir_server.store.index import Named
from fhir_server.store.owners import Indexed, Standing
from fhir_server.store.scoped import finds
from fhir_server.store.search.keys import place
from fhir_server.store.view import SeenConnection, View
from fhir_server.store.write import OutOfScopeError, Write


def refuse(
    connection: Connection,
    seen: View,
    written: Sequence[Indexed],
    current: Mapping[Named, Standing],
) -> None:
    """Raise OutOfScopeError where scopes do not let be done what a commit does.

    What is created is found by a query of `c`; what is deleted by one of `d`; what is updated by one of
    `u`, before and after.
    """
    wrong = []
    for each in written:
        letter, kind = _letter(each.write), each.write.type
        queries = seen.queries(letter, kind)
        if not queries:
            continue
        by = " or ".join(f"{kind}.{letter}?{query}" for query in queries)
        stood = current.get(each.named)
        if letter != "c" and stood is not None and not _stands(connection, seen, letter, stood.rid):
            wrong.append((each.named, f"What is there is not what the scope lets change: {by}."))
        elif letter != "d" and not finds(kind, queries, each.rows):
            wrong.append((each.named, f"This {kind} is not what the scope lets be stored: {by}."))
    if wrong:
        raise OutOfScopeError(tuple(wrong))


def _letter(write: Write) -> str:
    """Return the letter that a write needs; what a PUT creates, it updates."""
    return "d" if write.deleted else "c" if write.fresh else "u"


def _stands(connection: Connection, seen: View, letter: str, rid: int) -> bool:
    only = View(None, scoped=seen.scoped, letters=letter)
    asked = "SELECT 1 FROM resource AS r WHERE r.rid = ? AND NOT r.deleted"
    return bool(SeenConnection(connection, only).read(asked, (rid,)))


def hidden(connection: Connection, seen: View, named: Iterable[Named]) -> list[Named]:
    """Return those that may neither be read nor be searched: they are not there for who asks."""
    kinds = {each.type for each in seen.scoped if each.letter in "rs"}
    asked = [each for each in named if each[0] in kinds]
    if not asked:
        return []
    only = View(None, scoped=seen.scoped)
    among = connection.dialect.among("r.place", [place(*each) for each in asked])
    rows = SeenConnection(connection, only).read(
        f"SELECT r.type, r.id FROM resource AS r WHERE {among.text}"
        " AND r.superseded IS NULL AND NOT r.deleted",
        among.parameters,
    )
    found = {(row[0], row[1]) for row in rows}
    return [each for each in asked if each not in found]
