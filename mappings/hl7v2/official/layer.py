"""A folder or an archive of HL7's tables, read whole.

The files are called `HL7 Segment - FHIR R4_ PID[Patient] - Sheet1.csv`, and lie in `messages`,
`segments`, `datatypes` and `codesystems`; files named as ours (`PID[Patient].csv`) are read too.
"""

import re
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mappings.hl7v2.rows import (
    CodeRow,
    MessageRow,
    SegmentRow,
    code_rows,
    message_rows,
    segment_rows,
)

KINDS = ("messages", "segments", "datatypes", "codesystems")
LARGEST = 8 * 1024 * 1024
"""Bytes that one table may have: HL7's largest has a twentieth of it."""
_NAMED = re.compile(r".*_ (?P<name>.+?) - .*\.csv\Z")
LAYER = "official"
"""What the rows of these tables name as the layer that they stand in."""


@dataclass(frozen=True, slots=True)
class Layer:
    """Every table of a place, by kind and name (`PID[Patient]`)."""

    messages: Mapping[str, tuple[MessageRow, ...]]
    segments: Mapping[str, tuple[SegmentRow, ...]]
    datatypes: Mapping[str, tuple[SegmentRow, ...]]
    codesystems: Mapping[str, tuple[CodeRow, ...]]


def read(place: Path) -> Layer:
    """Read a folder, or a gzipped tar archive. Raises ValueError, naming the file, for what is no table.

    Raises OSError where the place cannot be read.
    """
    found: dict[str, dict[str, str]] = {kind: {} for kind in KINDS}
    for kind, file, raw in files(place):
        match = _NAMED.match(file)
        name = match["name"] if match else file.removesuffix(".csv")
        if name in found[kind]:
            raise ValueError(f"{place}: {kind} has two tables {name}")
        try:
            found[kind][name] = raw.decode("utf-8-sig")
        except UnicodeDecodeError as problem:
            raise ValueError(f"{kind}/{file} is not UTF-8: {problem}") from None
    if not any(found.values()):
        raise ValueError(f"{place} has no tables in {', '.join(KINDS)}")
    tables = {kind: sorted(found[kind].items()) for kind in KINDS}
    segments, datatypes = (
        {name: segment_rows(text, LAYER, f"{kind}/{name}") for name, text in tables[kind]}
        for kind in ("segments", "datatypes")
    )
    return Layer(
        messages={
            name: message_rows(text, LAYER, f"messages/{name}") for name, text in tables["messages"]
        },
        segments=segments,
        datatypes=datatypes,
        codesystems={
            name: code_rows(text, LAYER, f"codesystems/{name}")
            for name, text in tables["codesystems"]
        },
    )


def has_tables(place: Path) -> bool:
    """Tell whether there are tables at a place that can be read, whatever is in them."""
    try:
        return any(True for _ in files(place))
    except (ValueError, OSError, EOFError, zlib.error):
        return False


def files(place: Path) -> Iterator[tuple[str, str, bytes]]:
    """Yield kind, file name and content of each table. Raises ValueError for what is neither."""
    if place.is_dir():
        for path in sorted(place.rglob("*.csv")):
            if path.parent.name in KINDS:
                if path.stat().st_size > LARGEST:
                    raise ValueError(f"{path} is larger than {LARGEST} bytes")
                yield path.parent.name, path.name, path.read_bytes()
        return
    try:
        with tarfile.open(place, "r:gz") as archive:
            yield from _members(archive)
    except tarfile.TarError as problem:
        raise ValueError(f"{place} is neither a folder nor a .tgz: {problem}") from None


def _members(archive: tarfile.TarFile) -> Iterator[tuple[str, str, bytes]]:
    for member in archive:
        path = PurePosixPath(member.name)
        if member.isfile() and path.suffix == ".csv" and path.parent.name in KINDS:
            if member.size > LARGEST:
                raise ValueError(f"{path} is larger than {LARGEST} bytes")
            content = archive.extractfile(member)
            if content is not None:
                yield path.parent.name, path.name, content.read()
