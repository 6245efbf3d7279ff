"""The simulator's own record of what was answered: NDJSON, one line an answer, flushed at once.

A line: {"door", "hospital", "kind", "id", "answer", "sha256", "faulty"}. id is MSH-10, or the
locations that the server returned. It is what a test compares with what the server kept.
"""

import json
import os
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from fhir_server.simulate.sending import Answer, Sending


class Ledger:
    """An open ledger; without a path nothing is written. With resume, what it holds is skipped."""

    def __init__(self, path: Path | None, *, resume: bool = False) -> None:
        lines = read(path) if path and resume else []
        self._answered = Counter((line["hospital"], line["sha256"]) for line in lines)
        self._file = _opened(path, resume=resume) if path else None

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file:
            self._file.close()

    def holds(self, sending: Sending) -> bool:
        """Tell whether a sending was answered before, and count it as skipped once."""
        if not self._answered:
            return False
        key = (sending.hospital, sending.sha256)
        if not self._answered[key]:
            return False
        self._answered[key] -= 1
        return True

    def write(self, sending: Sending, answer: Answer) -> None:
        """Write one answer and flush it."""
        if not self._file:
            return
        line = {
            "door": sending.door,
            "hospital": sending.hospital,
            "kind": sending.kind,
            "id": sending.id or list(answer.ids),
            "answer": int(answer.code) if answer.code.isdigit() else answer.code,
            "sha256": sending.sha256,
            "faulty": sending.faulty,
        }
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._file.flush()


def read(path: Path) -> list[dict[str, Any]]:
    """Read a ledger; a last line that was cut short by a kill is left out."""
    if not path.exists():
        return []
    return [json.loads(line) for line in _whole(path).splitlines()]


def _whole(path: Path) -> bytes:
    before, newline, _ = path.read_bytes().rpartition(b"\n")
    return before + newline


def _opened(path: Path, *, resume: bool) -> TextIO:
    """Open the file, empty, or to go on after its last whole line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not (resume and path.exists()):
        return path.open("w", encoding="utf-8")
    os.truncate(path, len(_whole(path)))
    return path.open("a", encoding="utf-8")
