"""What operators have loaded from FHIR packages: by it the server behaves, whatever users store.

https://hl7.org/fhir/R4/references.html#canonical
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from fhir_server.store.connection import Connection, Database
from r4.canonical import newest
from r4.json import Resource, decode

_NONE = ""
"""The kind of the one row that is no definition: its generation is that of the last removal."""


class Loaded(NamedTuple):
    """One resource to keep; version "" where it has none, package `name#version`."""

    kind: str
    url: str
    version: str
    package: str
    body: bytes


class Tally(NamedTuple):
    """How many of some resources were not there, were there with another content, were there."""

    new: int
    changed: int
    unchanged: int


class Packages:
    """The resources of every loaded package, each read when it is asked for."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, kind: str, url: str, version: str | None, /) -> Resource | None:
        """Return the resource of a kind with a url and version; without one, the newest; or None."""
        if version is None:
            rows = self._database.read(
                "SELECT version FROM package_resource WHERE kind = ? AND url = ?", (kind, url)
            )
            if not rows:
                return None
            version = newest(row[0] for row in rows)
        rows = self._database.read(
            "SELECT body FROM package_resource WHERE kind = ? AND url = ? AND version = ?",
            (kind, url, version),
        )
        if not rows:
            return None
        found: Resource = decode(bytes(rows[0][0]))
        return found

    def urls(self, kind: str, /) -> Iterable[str]:
        """List the urls of a kind, each once, in order."""
        rows = self._database.read(
            "SELECT DISTINCT url FROM package_resource WHERE kind = ? ORDER BY url", (kind,)
        )
        return [row[0] for row in rows]


class Held(Packages):
    """The packages as they are when this is first asked: what is not among them needs no query."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._known: frozenset[tuple[str, str]] | None = None

    def find(self, kind: str, url: str, version: str | None, /) -> Resource | None:
        """Return the resource of a kind with a url and version; without one, the newest; or None."""
        if self._known is None:
            rows = self._database.read("SELECT DISTINCT kind, url FROM package_resource")
            self._known = frozenset((row[0], row[1]) for row in rows)
        return super().find(kind, url, version) if (kind, url) in self._known else None


def generation(database: Database) -> int:
    """Return a number that is greater after each commit that changed what is loaded; 0 without any."""
    found: int = database.read("SELECT coalesce(max(generation), 0) FROM package_resource")[0][0]
    return found


def packages(database: Database) -> list[str]:
    """List the packages, as `name#version`, that something loaded comes from."""
    rows = database.read(
        "SELECT DISTINCT package FROM package_resource WHERE kind <> ? ORDER BY package", (_NONE,)
    )
    return [row[0] for row in rows]


def definitions(database: Database, package: str | None = None) -> Iterator[Loaded]:
    """Yield the definitions of a package, of none: of every one, by kind, url and version."""
    key: tuple[str, ...] = (_NONE, "", "")
    while rows := database.read(
        "SELECT kind, url, version, package, body FROM package_resource"
        " WHERE (kind, url, version) > (?, ?, ?) ORDER BY kind, url, version LIMIT 100",
        key,
    ):
        for kind, url, version, of, body in rows:
            if package in (None, of):
                yield Loaded(kind, url, version, of, bytes(body))
        key = tuple(rows[-1][:3])


async def remove(database: Database, package: str) -> int:
    """Remove the definitions of a package durably; returns how many there were."""
    return await database.write(partial(_remove, package=package))


async def keep(database: Database, loaded: Sequence[Loaded]) -> Tally:
    """Keep resources durably, each in place of the one with its kind, url and version."""
    return await database.write(partial(_keep, loaded=loaded))


def _keep(connection: Connection, loaded: Sequence[Loaded]) -> Tally:
    following = _following(connection)
    done = [_kept(connection, each, following) for each in loaded]
    return Tally(done.count("new"), done.count("changed"), done.count("unchanged"))


def _remove(connection: Connection, package: str) -> int:
    """Remove rows, and note in a row of no kind that something was: numbers never come again."""
    following = _following(connection)
    removed = connection.execute("DELETE FROM package_resource WHERE package = ?", (package,))
    if removed:
        connection.execute("DELETE FROM package_resource WHERE kind = ?", (_NONE,))
        connection.execute(
            "INSERT INTO package_resource (kind, url, version, package, generation, body)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (_NONE, "", "", "", following, b""),
        )
    return removed


def _following(connection: Connection) -> int:
    rows = connection.read("SELECT coalesce(max(generation), 0) + 1 FROM package_resource")
    following: int = rows[0][0]
    return following


def _kept(connection: Connection, loaded: Loaded, following: int) -> str:
    key = (loaded.kind, loaded.url, loaded.version)
    rows = connection.read(
        "SELECT body FROM package_resource WHERE kind = ? AND url = ? AND version = ?", key
    )
    if not rows:
        connection.execute(
            "INSERT INTO package_resource (kind, url, version, package, generation, body)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (*key, loaded.package, following, loaded.body),
        )
        return "new"
    if bytes(rows[0][0]) == loaded.body:
        return "unchanged"
    connection.execute(
        "UPDATE package_resource SET package = ?, generation = ?, body = ?"
        " WHERE kind = ? AND url = ? AND version = ?",
        (loaded.package, following, loaded.body, *key),
    )
    return "changed"
