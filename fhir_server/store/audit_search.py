"""Looking through the audit: pages of accesses, the newest first; what is recorded meanwhile moves none."""

from collections.abc import Sequence

from fhir_server.store import chain, custody
from fhir_server.store.audit import COLUMNS, Access, access
from fhir_server.store.connection import Database
from fhir_server.store.search.keys import place
from fhir_server.store.search.sql import Sql, marks


def of_child(database: Database, patient: str) -> Sql:
    """Return the condition that a row told of a child, by whichever of its linked Patients; purged or not."""
    salt = chain.salt(database.read)
    (places,) = custody.persons(database, [place("Patient", patient)])
    numbers = [*places, *(chain.number(chain.hidden(salt, each)) for each in places)]
    return Sql(
        f"a.id IN (SELECT c.audit FROM audit_child AS c WHERE c.child IN ({marks(numbers)}))",
        tuple(numbers),
    )


def page(
    database: Database, conditions: Sequence[Sql], before: int | None, most: int
) -> list[Access]:
    """Return the newest accesses that meet all conditions, before a row; `most` at most."""
    limits = [*conditions, *([] if before is None else [Sql("a.id < ?", (before,))])]
    where = _all(limits)
    sql = f"SELECT {COLUMNS} FROM audit AS a WHERE {where.text} ORDER BY a.id DESC LIMIT ?"
    return [access(row) for row in database.read(sql, (*where.parameters, most))]


def count(database: Database, conditions: Sequence[Sql]) -> int:
    """Count the accesses that meet all conditions."""
    where = _all(conditions)
    sql = f"SELECT count(*) FROM audit AS a WHERE {where.text}"
    found: int = database.read(sql, where.parameters)[0][0]
    return found


def patients(database: Database, accesses: Sequence[Access]) -> dict[int, str]:
    """Return the ids of the Patients whom accesses told of, by the numbers that they have there."""
    numbers = sorted({each for access in accesses for each in access.children})
    found: dict[int, str] = {}
    for start in range(0, len(numbers), _MANY):
        among = database.dialect.among("place", numbers[start : start + _MANY])
        rows = database.read(
            "SELECT place, id FROM resource"
            f" WHERE {among.text} AND type = 'Patient' AND superseded IS NULL",
            among.parameters,
        )
        found |= {row[0]: row[1] for row in rows}
    return found


_MANY = 500
"""Most values in one statement."""


def _all(conditions: Sequence[Sql]) -> Sql:
    text = " AND ".join(f"({each.text})" for each in conditions) or "1 = 1"
    return Sql(text, tuple(value for each in conditions for value in each.parameters))
