"""The lines of NDJSON, read one by one: where each one is, and the resource on it or what is wrong.

http://ndjson.org/
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from fhir_server.store.index import Named, referred
from r4 import definitions
from r4.issue import FhirError, Issue, error
from r4.json import Resource
from r4.reference import rewrite

Read = Callable[[bytes], Resource]
"""Reads bytes as one resource; raises FhirError."""
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")


class Place(NamedTuple):
    """Where a line is: the number of its file, its own, the first byte of it and the one after it."""

    file: int
    number: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Line:
    """A line: its resource and what that refers to, or what is wrong with it."""

    place: Place
    resource: Resource | None = None
    issues: tuple[Issue, ...] = ()
    refers: tuple[Named, ...] = ()

    @property
    def named(self) -> Named:
        """The type and id of the resource."""
        found = self.resource or {}
        return found["resourceType"], found["id"]


@dataclass(frozen=True, slots=True)
class Reader:
    """How lines are read: the base that own references may have, and the longest line."""

    read: Read
    base_url: str
    longest: int

    def lines(self, file: BinaryIO, after: Place, kind: str | None) -> Iterator[Line]:
        """Yield the lines of a file that follow a place; empty ones are not counted."""
        file.seek(after.end)
        number, start = after.number, after.end
        while raw := file.readline(self.longest + 1):
            whole = raw.endswith(b"\n") or len(raw) <= self.longest
            end = start + len(raw) if whole else _next(file)
            if raw.strip():
                number += 1
                place = Place(after.file, number, start, end)
                yield self.line(raw, place, kind) if whole else self._too_long(place)
            start = end

    def at(self, file: BinaryIO, place: Place, kind: str | None) -> Line:
        """Return the line of a place."""
        file.seek(place.start)
        return self.line(file.read(place.end - place.start), place, kind)

    def line(self, raw: bytes, place: Place, kind: str | None) -> Line:
        """Read a line."""
        try:
            resource = self.read(raw)
        except FhirError as refusal:
            return Line(place, issues=refusal.issues)
        if issue := _wrong(resource, kind):
            return Line(place, issues=(issue,))
        said = resource
        if self.base_url.encode() in raw:
            said = rewrite(resource, lambda text: text.removeprefix(f"{self.base_url}/"))
        return Line(place, resource, refers=tuple(referred(said)))

    def _too_long(self, place: Place) -> Line:
        text = f"The line is longer than the {self.longest} bytes that are taken at once."
        return Line(place, issues=(error("too-long", text),))


def _next(file: BinaryIO) -> int:
    """Go to the next line, and return where that begins."""
    while (raw := file.readline(1 << 16)) and not raw.endswith(b"\n"):
        pass
    return file.tell()


def _wrong(resource: Resource, kind: str | None) -> Issue | None:
    """Return why a resource cannot be stored under its id, or None."""
    found, key = resource["resourceType"], resource.get("id")
    if found not in definitions.resource_types():
        return error("not-supported", f"{found} is not a resource type of FHIR R4.", "resourceType")
    if kind is not None and found != kind:
        return error("invalid", f"The input is of {kind}; this is {found}.", "resourceType")
    if not isinstance(key, str) or not _ID.fullmatch(key):
        return error(
            "required", "Each resource needs the id that it is stored under.", f"{found}.id"
        )
    return None


def opened(file: str) -> BinaryIO:
    """Open an input; raises FhirError 422 where it cannot be read any more."""
    try:
        return Path(file).open("rb")
    except OSError:
        text = f"The input {Path(file).name} cannot be read any more."
        raise FhirError(422, [error("not-found", text)]) from None
