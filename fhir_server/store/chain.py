"""The audit's chain: each commit links its rows to those before, so that a change afterwards shows.

A link is SHA-256 over the hash before it and the rows from its first to its last. In place of a
resource's id, and of a child, stands a keyed hash: a purge may take them away, and the chain still holds.
By the same commit the rows are found by the children of whom they tell (`audit_child`).
"""

import hashlib
import hmac
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec

from fhir_server.store.connection import Connection, Row

MASKED = "~"
"""What the key of a row begins with where a purge has put a hash in place of the id: no id does."""
_START = b""
_MANY = 10_000
_ASKED = 500
"""Most values in one statement."""
_COLUMNS = (
    "a.id, a.moment, a.principal, a.interaction, a.type, a.key, a.version, a.status,"
    " a.role, a.hospital, a.purpose, a.address, a.query, a.children"
)
_FIRST, _ALL = 8, 14
"""How many columns a row had at first, and has: those since are hashed where one of them is there."""
_NOT_YET = [None] * (_ALL - _FIRST)
_UNLINKED = (
    f"SELECT {_COLUMNS}, (SELECT salt FROM audit_salt),"
    " (SELECT hash FROM audit_link ORDER BY last DESC LIMIT 1)"
    " FROM audit AS a WHERE a.id > (SELECT coalesce(max(last), 0) FROM audit_link)"
    " ORDER BY a.id LIMIT ?"
)
_LINKED = f"SELECT {_COLUMNS} FROM audit AS a WHERE a.id > ? AND a.id <= ? ORDER BY a.id"
_encode_lines = msgspec.json.Encoder().encode_lines

Read = Callable[..., Sequence[Row]]


@dataclass(frozen=True, slots=True)
class Head:
    """Where the chain ends: the last row that is linked, and the hash of its link."""

    last: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Checked:
    """What is wrong with a stretch of the audit, in words; and where the chain stands after it."""

    problems: tuple[str, ...]
    rows: int
    head: Head


def link(connection: Connection) -> None:
    """Link the rows that are not linked yet; inside the transaction that has stored them."""
    many = _MANY
    while many == _MANY:
        rows = connection.read(_UNLINKED, (_MANY,))
        if not rows:
            return
        many = len(rows)
        salt, before = rows[0][_ALL], rows[0][_ALL + 1] or _START
        connection.insert({"audit_child": [(child, row[0]) for row in rows for child in _of(row)]})
        connection.execute(
            "INSERT INTO audit_link (last, first, hash) VALUES (?, ?, ?)",
            (rows[-1][0], rows[0][0], _hash(before, rows, salt)),
        )


def head(read: Read) -> Head | None:
    """Return where the chain ends, or None where nothing is linked."""
    found = read("SELECT last, hash FROM audit_link ORDER BY last DESC LIMIT 1")
    return Head(found[0][0], bytes(found[0][1])) if found else None


def verify(read: Read) -> Iterator[Checked]:
    """Yield what is wrong with the audit, link by link, from one snapshot.

    Rows that were changed, deleted or put between others break their link or the next one; rows that
    were taken from the end, with their links, are missed by whoever has kept a later head.
    """
    known = salt(read)
    at = Head(0, _START)
    while links := read(
        "SELECT last, first, hash FROM audit_link WHERE last > ? ORDER BY last LIMIT 1000",
        (at.last,),
    ):
        for last, first, kept in links:
            rows = read(_LINKED, (at.last, last))
            after = Head(last, bytes(kept))
            problems = _wrong(rows, known, at, first, after)
            yield Checked((*problems, *_not_found(read, rows)), len(rows), after)
            at = after
    ((many, first),) = read("SELECT count(*), min(id) FROM audit WHERE id > ?", (at.last,))
    if many:
        text = "are in no link: it was deleted, or they were put there"
        yield Checked((f"{many} rows from {first} on {text}",), many, at)


def _wrong(rows: Sequence[Row], salt: str, at: Head, first: int, after: Head) -> tuple[str, ...]:
    where = f"rows {first} to {after.last}"
    if not rows or rows[0][0] != first or rows[-1][0] != after.last:
        return (f"{where}: the first or the last is gone, or others were put before them",)
    if not hmac.compare_digest(_hash(at.hash, rows, salt), after.hash):
        return (f"{where}: not what was linked: a row or a link was changed, deleted or added",)
    return ()


def _not_found(read: Read, rows: Sequence[Row]) -> Iterator[str]:
    """Say which rows are not found by the children of whom they told."""
    wanted = {(child, row[0]) for row in rows for child in _of(row)}
    children = sorted({child for child, _ in wanted})
    for start in range(0, len(children), _ASKED):
        some = children[start : start + _ASKED]
        marks = ", ".join("?" * len(some))
        sql = (
            f"SELECT child, audit FROM audit_child WHERE child IN ({marks})"
            " AND audit >= ? AND audit <= ?"
        )
        wanted -= {tuple(each) for each in read(sql, (*some, rows[0][0], rows[-1][0]))}
    for number in sorted({number for _, number in wanted}):
        yield f"row {number}: not found by a child of whom it told, in whose list it was"


def salt(read: Read) -> str:
    """Return the key of the hashes that stand for ids."""
    found: str = read("SELECT salt FROM audit_salt")[0][0]
    return found


def blinded(salt: str, type_: str | None, key: str) -> str:
    """Return what stands for a resource's id in the chain, and in a row that a purge has masked."""
    return _keyed(salt, f"{type_ or ''}/{key}")


def hidden(salt: str, child: int) -> str:
    """Return what stands for a child's number in the chain, and in a row that a purge has masked."""
    return _keyed(salt, f"child/{child}")


def number(token: str) -> int:
    """Return the number by which a child's rows are found, of what stands for the child in a row."""
    if not token.startswith(MASKED):
        return int(token)
    return int.from_bytes(bytes.fromhex(token[1:17]), signed=True)


def _of(row: Row) -> Iterator[int]:
    """Yield the numbers of the children of whom a row tells."""
    return map(number, row[_ALL - 1].split()) if row[_ALL - 1] else iter(())


@lru_cache(maxsize=65536)
def _hidden(salt: str, token: str) -> str:
    return token if token.startswith(MASKED) else hidden(salt, int(token))


@lru_cache(maxsize=65536)
def _keyed(salt: str, said: str) -> str:
    made = _begun(salt).copy()
    made.update(said.encode())
    return MASKED + made.hexdigest()


@lru_cache(maxsize=8)
def _begun(salt: str) -> hmac.HMAC:
    return hmac.new(salt.encode(), digestmod="sha256")


def _hash(before: bytes, rows: Sequence[Row], salt: str) -> bytes:
    made = hashlib.sha256(before)
    made.update(_encode_lines([_row(row, salt) for row in rows]))
    return made.digest()


def _row(row: Row, salt: str) -> list[Any]:
    said = list(row[:_ALL])
    kind, key, children = said[4], said[5], said[_ALL - 1]
    if key is not None and not key.startswith(MASKED):
        said[5] = _keyed(salt, f"{kind or ''}/{key}")
    if children is not None:
        said[_ALL - 1] = " ".join([_hidden(salt, each) for each in children.split()])
    return said[:_FIRST] if said[_FIRST:] == _NOT_YET else said
