"""The loaded releases, as the terminology service asks for them: `terminology.loaded.Loaded`."""

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from fhir_server.store.concepts import first, image
from fhir_server.store.concepts.reading import System
from fhir_server.store.connection import Database, Row
from terminology.systems import SNOMED_CT

SEEN_AFTER = 1.0
"""Seconds after which a switch of releases is seen."""
Key = tuple[int, str]
"""A release's id and digest: an id that is free again is given to another release."""


class _Known(NamedTuple):
    """The rows of the releases that may be asked, and those that are in memory."""

    rows: Sequence[Row]
    systems: Mapping[Key, System]


class Systems:
    """The releases that an operator has loaded.

    A release is read into memory when it is first asked for, and a switch to another one is seen
    within a second. Once `hold` has been called, they are as they were when it was called last: what
    is in use is in memory then, and nobody waits for it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._read_at = float("-inf")
        self._is_held = False
        self._known = _Known((), {})

    @property
    def is_held(self) -> bool:
        """Tell whether what is in use has been read into memory."""
        return self._is_held

    def system(self, url: str, version: str | None = None, /) -> System | None:
        """Return a release, the one in use where no version is asked for; None: not loaded.

        A version of SNOMED CT may be an edition without its date: its release in use, or its last one.
        """
        if not self._is_held:
            self._look()
        chosen = None
        for row in self._known.rows:
            _, _, found_url, found, _, state = row
            fits = version is None or found == version or _is_edition(url, version, found)
            if found_url == url and fits and (version is not None or state == _CURRENT):
                chosen = row
                if found == version or state == _CURRENT:
                    break
        return None if chosen is None else self._made(chosen)

    def releases(self) -> tuple[tuple[int, str, str], ...]:
        """Look now which releases may be asked, and which of them are in use: id, digest and state.

        Unless they are held, what is asked next goes by what was seen.
        """
        rows = self._database.read(_RELEASES)
        if not self._is_held:
            self._see(rows)
        return tuple((row[0], row[1], row[5]) for row in rows)

    def hold(self) -> None:
        """Read what is in use into memory, then go by it; in a thread in which it may take a second.

        Meanwhile whoever asks is answered by what was in use before.
        """
        with self._database.snapshot() as read:
            rows = read(_RELEASES)
            systems = dict(self._known.systems)
            for row in rows:
                if row[5] == _CURRENT and _key(row) not in systems:
                    systems[_key(row)] = self._read(row, read)
        self._known = _known(rows, systems)
        self._is_held = True

    def listed(self) -> tuple[tuple[str, str, bool], ...]:
        """List the releases that may be asked: uri, version, and whether a uri alone means this one."""
        if not self._is_held:
            self._look()
        return tuple((row[2], row[3], row[5] == _CURRENT) for row in self._known.rows)

    def _look(self) -> None:
        if time.monotonic() - self._read_at >= SEEN_AFTER:
            self._see(self._database.read(_RELEASES))

    def _see(self, rows: Sequence[Row]) -> None:
        self._known = _known(rows, self._known.systems)
        self._read_at = time.monotonic()

    def _made(self, row: Row) -> System:
        if (made := self._known.systems.get(_key(row))) is None:
            made = self._read(row, self._database.read)
            rows, systems = self._known
            self._known = _Known(rows, {**systems, _key(row): made})
        return made

    def _read(self, row: Row, read: image.Read) -> System:
        key, _, url, version, is_complete, _ = row
        held = image.image(read, key)
        return System(url, version, bool(is_complete), held, self._database, first(key))


def _known(rows: Sequence[Row], systems: Mapping[Key, System]) -> _Known:
    stored = {_key(row) for row in rows}
    return _Known(rows, {key: made for key, made in systems.items() if key in stored})


def _key(row: Row) -> Key:
    return row[0], row[1]


_CURRENT = "current"
_RELEASES = (
    "SELECT id, digest, url, version, is_complete, state FROM code_system"
    " WHERE state IN ('current', 'ready') ORDER BY id"
)


def _is_edition(url: str, version: str, found: str) -> bool:
    return url == SNOMED_CT and found.startswith(f"{version}/version/")
