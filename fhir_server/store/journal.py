"""The journal of the audit: files beside the database that hold what is not in it yet. ADR 60.

Each line is one row of the audit, as a JSON array, appended by one system call before its answer leaves.
A process that is killed a moment later has written it; only the machine's own end can take it. A file is
folded into the audit by a job of a commit, which says how far it has come: a file that is folded twice,
because somebody was killed in between, gives each row once.

A file's name says of which database it is, of which journal, and which number its first line has. Who
writes a file holds a lock on it until it is folded and gone: a file that nobody holds was left behind.
"""

import fcntl
import hashlib
import logging
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from fhir_server.store import chain
from fhir_server.store.connection import Connection, Database, Row
from fhir_server.store.tables import COLUMNS

logger = logging.getLogger("csor.audit")

_NAME = re.compile(r"([0-9a-f]{12})-([0-9a-f]{32})-([0-9]{15})\.ndjson\Z")
_DAMAGED = ".damaged"
_WIDTH = len(COLUMNS["audit"])
_MANY = 20_000
"""Most lines that one job folds."""
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list).decode


def mark(database: Database) -> str:
    """Return what tells a database's files from those of others in one folder."""
    return hashlib.sha256(chain.salt(database.read).encode()).hexdigest()[:12]


class Journal:
    """The files of one process: the one that is written, which is made when it is needed."""

    def __init__(self, folder: Path, database: str) -> None:
        self.folder = folder.absolute()
        self._of = f"{database}-{secrets.token_hex(16)}"
        self.lines = 0
        """How many were ever written."""
        self._file: File | None = None

    def append(self, row: Row) -> None:
        """Write one row down; raises OSError where that cannot be done, and leaves no part of it."""
        if self._file is None:
            self._file = _made(self.folder, f"{self._of}-{self.lines + 1:015d}.ndjson")
        self._file.append(_encode(row) + b"\n")
        self.lines += 1

    def cut(self) -> "File | None":
        """End the file that is written, and return it; None where nothing was written since."""
        ended, self._file = self._file, None
        return ended


class File:
    """A file of a journal that this process holds."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path, self._descriptor = path, descriptor
        self._length = 0

    def append(self, line: bytes) -> None:
        """Write a line by one call; raises OSError, the file then being as it was."""
        written = 0
        try:
            written = os.write(self._descriptor, line)
        finally:
            if written != len(line):
                os.ftruncate(self._descriptor, self._length)
        if written != len(line):
            raise OSError("the disk is full")
        self._length += written

    def remove(self) -> None:
        """Take the file away, folded as it is."""
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)


class Folded(NamedTuple):
    """How far the folding of a file has come: whether there is more, and lines that cannot be read."""

    more: bool
    damaged: int


def fold(connection: Connection, file: str) -> Folded:
    """Store what a file holds and is not stored yet, in order, many lines at most; as a job of a commit.

    A last line without an end was never written whole: what it was to record has not been answered.
    """
    path = Path(file)
    journal, first = _named(path)
    known = connection.read("SELECT folded FROM audit_journal WHERE journal = ?", (journal,))
    folded: int = known[0][0] if known else 0
    lines = path.read_bytes().split(b"\n")[:-1]
    left = lines[max(0, folded + 1 - first) :]
    rows = [row for line in left[:_MANY] if (row := _row(line)) is not None]
    upto = first + len(lines) - 1 - max(0, len(left) - _MANY)
    if left:
        connection.insert({"audit": rows})
        sql = (
            "UPDATE audit_journal SET folded = ? WHERE journal = ?"
            if known
            else "INSERT INTO audit_journal (folded, journal) VALUES (?, ?)"
        )
        connection.execute(sql, (upto, journal))
    return Folded(len(left) > _MANY, len(left[:_MANY]) - len(rows))


def left_behind(folder: Path, database: str) -> Iterator[File]:
    """Yield the files that no process holds any more, in their order, each held until it is closed."""
    with _alone(folder) as is_alone:
        for path in sorted(folder.absolute().glob(f"{database}-*.ndjson")) if is_alone else ():
            with suppress(FileNotFoundError):
                descriptor = os.open(path, os.O_RDWR)
                if _is_ours(descriptor):
                    yield File(path, descriptor)
                else:
                    os.close(descriptor)


def keep_damaged(file: File, damaged: int) -> None:
    """Keep a file beside, some lines of which cannot be read; the others are folded."""
    kept = file.path.with_suffix(_DAMAGED)
    logger.error("%d accesses cannot be read: they are kept in %s", damaged, kept.name)
    file.path.rename(kept)


def _named(path: Path) -> tuple[str, int]:
    found = _NAME.match(path.name)
    if found is None:
        raise ValueError("this is no file of a journal of the audit")
    return found[2], int(found[3])


def _row(line: bytes) -> Row | None:
    """Return the row of a line, what an earlier release did not record left empty; None: no row."""
    try:
        row: Sequence[object] = _decode(line)
    except ValueError:  # msgspec's errors are
        return None
    return [*row, *[None] * (_WIDTH - len(row))] if 0 < len(row) <= _WIDTH else None


def _made(folder: Path, name: str) -> File:
    """Make a file and hold it; whoever looks for files that were left may have been quicker."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    while True:
        path = folder / name
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        if _is_ours(descriptor):
            return File(path, descriptor)
        os.close(descriptor)


def _is_ours(descriptor: int) -> bool:
    """Hold a file, unless somebody else does, or has taken it away."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return os.fstat(descriptor).st_nlink > 0


@contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Let one process at a time look for files that were left: a journal's are folded in their order."""
    if not folder.is_dir():
        yield False
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield _is_ours(descriptor)
    finally:
        os.close(descriptor)
