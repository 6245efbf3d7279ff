"""Which edition of the mapping tables this is: messages are replayed when it has changed."""

from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable

_TABLES = (".csv", ".toml")
_NOT_OURS = "official"
"""What HL7's own tables are held against; they map nothing."""


@cache
def version() -> str:
    """Return 12 hexadecimal digits that change with any table or site file of this package."""
    digest = sha256()
    for folder in ("mappings.hl7v2", "mappings.sites"):
        for name, table in sorted(_tables(files(folder), folder)):
            digest.update(f"{name} ".encode() + sha256(table).digest())
    return digest.hexdigest()[:12]


def _tables(folder: Traversable, path: str) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            if entry.name != _NOT_OURS:
                yield from _tables(entry, f"{path}/{entry.name}")
        elif entry.name.endswith(_TABLES):
            yield f"{path}/{entry.name}", entry.read_bytes()
