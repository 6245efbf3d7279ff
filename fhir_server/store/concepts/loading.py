"""Load a release: its rows in slices, then its hierarchy, and at last the switch to it.

While one slice is committed the next is read. Whatever was committed before a kill is not done again:
the load of the same files goes on where it was. What is in use stays in use until the switch.
"""

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

import msgspec

from fhir_server.store.concepts import NAMES, first, number, text_row
from fhir_server.store.concepts.hierarchy import CircleError, Pair, closure, inverse, lists
from fhir_server.store.concepts.image import Image, pieces
from fhir_server.store.concepts.slices import (
    COUNTS,
    Begun,
    Slice,
    begin,
    count_words,
    discard,
    put,
    remove,
    store,
    switch,
    withdraw,
    words,
)
from fhir_server.store.connection import Database, Row
from fhir_server.store.search.keys import storable
from terminology.loaders import Part, Release
from terminology.loaders.rows import Concept, Member, Name, Parent
from terminology.loaders.rows import Row as Read

SLICE = 4000
"""Rows in one commit: a fraction of a second, in which others wait."""
PAUSE = 0.01
"""Seconds between two commits, in which SQLite lets others write: it keeps no queue of who waits."""
GRACE = 5.0
"""Seconds in which every server has read what is in use now, and asks nothing of what was."""
_LAYOUT = 2
"""Grows when the same files would be stored in another way: then they are loaded anew."""
_READ = 50_000
"""Rows that are read back at a time."""
_ABOVE = "who is above whom"


@dataclass(frozen=True, slots=True)
class Progress:
    """What a load is at, and how many rows it has dealt with since it was begun or taken up."""

    doing: str
    rows: int


@dataclass(frozen=True, slots=True)
class Report:
    """What is stored of a release; left_out: rows about codes that are not in it.

    is_new: False where the very files had been loaded before, and nothing was stored.
    """

    url: str
    version: str
    counts: dict[str, int]
    is_new: bool


Said = Callable[[Progress], None]


async def load(
    database: Database, release: Release, said: Said, *, remove_others: bool = False
) -> Report:
    """Load a release and put it in use; remove_others: and remove the code system's other releases.

    Raises UnreadableError for a file that is not what it should be, ValueError for a hierarchy in which
    a concept is above itself, and OvertakenError where another load of the same files goes on.
    """
    known = (release.url, release.version, digest(release, said), release.is_complete)
    names = [part.file.name for part in release.parts]
    begun = await database.write(partial(begin, release=known, parts=names))
    is_new = begun.state == "loading"
    if is_new:
        await _Load(database, begun, said).run(release.parts)
        await database.write(count_words)
    if begun.state != "current":
        await database.write(partial(switch, system=begun.system))
    if remove_others:
        await database.write(partial(discard, url=release.url))
    await clear(database, said)
    row = database.read(
        f"SELECT {', '.join(COUNTS)} FROM code_system WHERE id = ?", (begun.system,)
    )[0]
    return Report(release.url, release.version, dict(zip(COUNTS, row, strict=True)), is_new)


def releases(database: Database) -> list[tuple[str, str, str, int]]:
    """List url, version, state and number of concepts of each release that is not being removed."""
    rows = database.read(
        "SELECT url, version, state, concepts FROM code_system WHERE state <> 'removing'"
        " ORDER BY url, id"
    )
    return [(url, version, state, concepts) for url, version, state, concepts in rows]


async def unload(database: Database, url: str, version: str, said: Said) -> str | None:
    """Remove a release; returns the version in use now, None where there is none.

    Where it was in use, what was loaded last before it takes its place. Raises ValueError where there
    is no such release.
    """
    in_use = await database.write(partial(withdraw, url=url, version=version))
    await clear(database, said)
    return in_use


async def clear(database: Database, said: Said) -> None:
    """Remove the releases that are to be removed, once no server asks anything of them."""
    if database.read("SELECT 1 FROM code_system WHERE state = 'removing'"):
        await asyncio.sleep(GRACE)
    while await database.write(remove):
        said(Progress("removing what is not used", 0))


def digest(release: Release, said: Said) -> str:
    """Return the SHA-256 of a release: of its version, and of its files' names and content."""
    whole = hashlib.sha256(f"{_LAYOUT}\n{release.url}\n{release.version}\n".encode())
    for file in release.files:
        said(Progress(f"looking through {file.name}", 0))
        content = hashlib.sha256()
        for line in file.lines():
            content.update(line)
        whole.update(f"{content.hexdigest()} {file.name}\n".encode())
    return whole.hexdigest()


class _Load:
    """A load under way: the numbers of the codes, and where each table goes on."""

    def __init__(self, database: Database, begun: Begun, said: Said) -> None:
        self._database, self._begun, self._said = database, begun, said
        self._first = first(begun.system)
        self._numbers: dict[str, int] = {}
        self._next = dict(begun.counts)
        self._rows = 0

    async def run(self, parts: Sequence[Part]) -> None:
        """Store every part, then the image."""
        self._numbers = {code: number(row) for row, code in self._all("concept", "code")}
        for place, part in enumerate(parts):
            done, is_done = self._begun.parts[place]
            if not is_done:
                await self._store(part.file.name, self._slices(place, part, done))
        await self._put_image()

    async def _store(self, name: str, slices: Iterator[Slice]) -> None:
        under_way: asyncio.Task[None] | None = None
        try:
            for stored in slices:
                if under_way is not None:
                    await under_way
                    await asyncio.sleep(PAUSE)
                job = partial(store, stored=stored)
                under_way = asyncio.create_task(self._database.write(job))
                await asyncio.sleep(0)  # the slice is on its way while the next is read
                self._rows += stored.end - stored.start
                self._said(Progress(name, self._rows))
        finally:
            if under_way is not None:
                await under_way

    def _slices(self, place: int, part: Part, done: int) -> Iterator[Slice]:
        rows = part.rows()
        start = sum(1 for _ in islice(rows, done))
        while True:
            read = list(islice(rows, SLICE))
            end, is_last = start + len(read), len(read) < SLICE
            stored = Slice(
                self._begun.system, place, start, end, is_last, dict.fromkeys(COUNTS, 0),
                {table: [] for table in _TABLES},
            )  # fmt: skip
            for row in read:
                self._add(stored, row)
            yield stored
            if is_last:
                return
            start = end

    def _add(self, stored: Slice, row: Read) -> None:
        if isinstance(row, Concept):
            self._add_concept(stored, row)
            return
        place = self._numbers.get(row[1] if isinstance(row, Member) else row[0])
        if place is None:
            stored.counts["left_out"] += 1
            return
        concept = self._first + place
        if isinstance(row, Name):
            key, term = self._numbered(stored, "names"), storable(row.term)
            named = (key, concept, row.language, row.use, row.rank, term)
            stored.rows["concept_name"].append(named)
            stored.texts.append((text_row(key, term), words(term)))
        elif isinstance(row, Member):
            key = self._numbered(stored, "members")
            stored.rows["concept_member"].append((key, row.refset, concept))
        elif not isinstance(row, Parent):
            key = self._numbered(stored, "replacements")
            replaced = (key, concept, row.association, row.target)
            stored.rows["concept_replacement"].append(replaced)
        elif (parent := self._numbers.get(row.parent)) is None:
            stored.counts["left_out"] += 1
        else:
            key = self._numbered(stored, "edges")
            stored.rows["concept_edge"].append((key, concept, self._first + parent))

    def _add_concept(self, stored: Slice, row: Concept) -> None:
        if row.code in self._numbers or not row.code.isprintable():
            stored.counts["left_out"] += 1
            return
        key = self._numbered(stored, "concepts")
        stored.counts["active"] += row.is_active
        self._numbers[row.code] = number(key)
        properties = msgspec.json.encode(row.properties).decode()
        stored.rows["concept"].append((key, row.code, row.is_active, row.alias, properties))

    def _numbered(self, stored: Slice, counted: str) -> int:
        found = self._next[counted]
        if counted == "names" and found >> NAMES:
            raise ValueError(f"a release has at most {1 << NAMES} designations")
        self._next[counted] = found + 1
        stored.counts[counted] += 1
        return self._first + found

    async def _put_image(self) -> None:
        image = self._image()
        for place, piece in enumerate(pieces(image)):
            job = partial(put, system=self._begun.system, place=place, piece=piece)
            await self._database.write(job)
            self._said(Progress("what is kept in memory", self._rows))

    def _image(self) -> Image:
        codes, active, aliases = list[str](), bytearray(), dict[str, int]()
        for row, code, is_active, alias in self._all("concept", "code, active, alias"):
            codes.append(code)
            active.append(bool(is_active))
            if alias is not None and alias not in self._numbers:
                aliases.setdefault(alias, number(row))
        parents = lists(self._edges(), len(codes))
        children = inverse(parents)
        try:
            above = closure(parents, children, lambda _: self._said(Progress(_ABOVE, self._rows)))
        except CircleError as circle:
            code = codes[circle.args[0]]
            raise ValueError(f"{code}, or a concept above it, is above itself") from None
        return Image(codes, bytes(active), parents, children, above, aliases)

    def _edges(self) -> Iterator[Pair]:
        for _, concept, parent in self._all("concept_edge", "concept, parent"):
            yield number(concept), number(parent)

    def _all(self, table: str, columns: str) -> Iterator[Row]:
        """Yield (id, columns) of every row that the release has in a table, in order."""
        after = self._first - 1
        while rows := self._database.read(
            f"SELECT id, {columns} FROM {table} WHERE id > ? AND id < ? ORDER BY id LIMIT {_READ}",
            (after, first(self._begun.system + 1)),
        ):
            yield from rows
            after = rows[-1][0]
            self._said(Progress(f"reading back: {table}", self._rows))


_TABLES = ("concept", "concept_name", "concept_edge", "concept_member", "concept_replacement")
