"""The layers of the HL7 v2 mapping: this package's tables, and over them what an operator adds.

A folder of an operator (`CSOR_MAPPINGS`) holds `overlay/`, changes for every hospital; `sites/`, one
file for each hospital and changes for that hospital alone; and `conceptmaps/`, which site files name.
All of it is read, checked and compiled at start: a fault stops the start, not a message.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from mappings.hl7v2 import apply, sites, tables
from mappings.hl7v2.apply import Engine, Structure
from mappings.hl7v2.compile import datatypes_of, segments_of
from mappings.hl7v2.official import layer
from mappings.hl7v2.official.layer import Layer
from mappings.hl7v2.official.underlay import Ours, base
from mappings.hl7v2.overlay import laid_over
from mappings.hl7v2.rows import (
    Change,
    MessageRow,
    Origin,
    SegmentRow,
    message_changes,
    segment_changes,
)
from mappings.hl7v2.scope import MappingContext
from mappings.hl7v2.sites import Site, Translator
from mappings.hl7v2.tables import KINDS, Tables
from profiles import Options, validate
from r4 import artefacts
from r4.definitions.catalogue import Catalogue
from r4.issue import FhirError
from r4.json import Resource, decode
from terminology import Terminology

BASE, OVERLAY, SITES, CONCEPT_MAPS = "base", "overlay", "sites", "conceptmaps"
REPLACED = ".base-old"
"""Where a base stands while another one takes its place."""
FOLDERS = (BASE, OVERLAY, SITES, CONCEPT_MAPS)
LARGEST = 8 * 1024 * 1024
"""Bytes that one file may have."""
_ODS = r"(?P<ods>[A-Za-z0-9 _.-]+)"
_TABLE = re.compile(
    rf"(?P<layer>{OVERLAY}|{SITES}/{_ODS})/(?P<kind>{'|'.join(KINDS)})/(?P<name>[^/]+)\.csv"
)
_BASE = re.compile(rf"{BASE}/(?:{'|'.join(layer.KINDS)})/[^/]+\.csv")
_SITE = re.compile(rf"{SITES}/{_ODS}\.toml")
_MAP = re.compile(rf"{CONCEPT_MAPS}/{_ODS}/[^/]+\.json")
_NOTES = (".md", ".txt")
"""Files that an operator may keep beside the tables."""
_Row = TypeVar("_Row", SegmentRow, MessageRow)


@dataclass(frozen=True, slots=True)
class Found:
    """What an operator's folder holds: how many changes of which kind, and for whom.

    `unused` are the ConceptMaps that no site file names; `messages` those that HL7's own tables map,
    and `idle` the rows of these that cannot be run, with the reason.
    """

    changes: Counter[tuple[str, str]]
    sites: tuple[str, ...]
    concept_maps: int
    unused: tuple[str, ...]
    messages: tuple[str, ...] = ()
    idle: tuple[tuple[Origin, str], ...] = ()


def engine(place: Path | None) -> Engine:
    """Compile the package's tables and what an operator's folder lays over them; without one, ours.

    Raises ValueError, naming the file and its line, for what cannot be used; OSError where the folder
    cannot be read.
    """
    return apply.own() if place is None else _read(place)[0]


def check(place: Path) -> tuple[Engine, Found]:
    """Compile as `engine` does, and tell what was found."""
    return _read(place)


def _read(place: Path) -> tuple[Engine, Found]:
    files = dict(_files(place))
    under = layer.read(place / BASE) if any(map(_BASE.fullmatch, files)) else None
    counted: Counter[tuple[str, str]] = Counter()
    maps = _concept_maps(files)
    habits = dict(_habits(files, maps))
    version = tables.version({**tables.sources(), **files})
    ours = _over(tables.own(), files, OVERLAY, counted)
    structures, idle = stacked(ours, under)
    for_all = Engine(structures, habits, version, over(ours, under), idle=dict(idle))
    hospitals = {}
    for ods in _hospitals(files):
        theirs = _over(ours, files, f"{SITES}/{ods}", counted)
        made, unrun = stacked(theirs, under)
        hospitals[ods] = replace(
            for_all, structures=made, rows=over(theirs, under), idle=dict(unrun)
        )
    named = {url for site in habits.values() for url in site.concept_maps.values()}
    unused = sorted(name for each in maps.values() for url, name in each.names if url not in named)
    found = Found(
        counted,
        tuple(sorted({*hospitals, *_written(files)})),
        sum(len(each.names) for each in maps.values()),
        tuple(unused),
        tuple(sorted(set(structures) - set(ours.messages))),
        idle,
    )
    return replace(for_all, hospitals=hospitals), found


def stacked(
    ours: Tables, under: Layer | None
) -> tuple[Mapping[str, Structure], tuple[tuple[Origin, str], ...]]:
    """Compile tables of ours over HL7's own, which map what ours do not; and tell which rows cannot run.

    Raises ValueError for a bad row.
    """
    reads = datatypes_of(ours.datatypes)
    maps = segments_of(ours.segments, reads)
    structures = apply.structures_of(ours, maps)
    if under is None:
        return structures, ()
    rows = (row for table in ours.messages.values() for row in table if row.condition)
    conditions = {row.segment_map: row.condition for row in rows}
    found = base(under, Ours(maps, reads, conditions), frozenset(ours.messages))
    return {**found.structures, **structures}, tuple(dict.fromkeys(found.idle))


def over(ours: Tables, under: Layer | None) -> Tables:
    """Add HL7's own tables to ours, for those who ask what a row says; ours stand for theirs by name."""
    if under is None:
        return ours
    return replace(
        ours,
        messages={**ours.messages, **_without(under.messages, ours.messages)},
        segments={**ours.segments, **_without(under.segments, ours.segments)},
        datatypes={**ours.datatypes, **_without(under.datatypes, ours.datatypes)},
    )


def _without(
    theirs: Mapping[str, tuple[_Row, ...]], ours: Mapping[str, tuple[_Row, ...]]
) -> Mapping[str, tuple[_Row, ...]]:
    return {name: rows for name, rows in theirs.items() if name not in ours}


def _files(place: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each file. Raises ValueError for what has no use where it stands."""
    if not place.is_dir():
        raise ValueError(f"{place}, the folder of mappings, is no folder")
    if (place / REPLACED).exists() and not (place / BASE).exists():
        raise ValueError(
            f"{place}: a load of HL7's tables was interrupted. Load them again, or rename {REPLACED} "
            f"to {BASE}."
        )
    for path in sorted(place.rglob("*")):
        name = path.relative_to(place).as_posix()
        hidden = any(part.startswith(".") for part in name.split("/"))
        if path.is_dir() or hidden or path.suffix in _NOTES:
            continue
        if not any(pattern.fullmatch(name) for pattern in (_BASE, _TABLE, _SITE, _MAP)):
            raise ValueError(f"{name}: no such file is read here; see docs/mapping-guide.md")
        if path.stat().st_size > LARGEST:
            raise ValueError(f"{name} is larger than {LARGEST} bytes")
        yield name, path.read_bytes()


def _hospitals(files: Mapping[str, bytes]) -> list[str]:
    """List the hospitals that have tables of their own."""
    found = (_TABLE.fullmatch(name) for name in files)
    return sorted({match["ods"] for match in found if match and match["ods"]})


def _written(files: Mapping[str, bytes]) -> dict[str, str]:
    """Map each hospital that has a site file in the folder to its name."""
    found = (_SITE.fullmatch(name) for name in files)
    return {match["ods"]: match[0] for match in found if match}


def _over(
    below: Tables, files: Mapping[str, bytes], folder: str, counted: Counter[tuple[str, str]]
) -> Tables:
    """Lay the tables of a folder over others; count what they change."""

    def changed(
        kind: str,
        rows: Mapping[str, tuple[_Row, ...]],
        read: Callable[[str, str, str], tuple[Change[_Row], ...]],
    ) -> Mapping[str, tuple[_Row, ...]]:
        found = dict(rows)
        for file, content in files.items():
            match = _TABLE.fullmatch(file)
            if match and (match["layer"], match["kind"]) == (folder, kind):
                name = match["name"]
                changes = read(_text(file, content), folder, file.removesuffix(".csv"))
                found[name] = laid_over(rows.get(name, ()), changes)
                counted.update((folder, change.op) for change in changes)
        return found

    laid = replace(
        below,
        messages=changed("messages", below.messages, message_changes),
        segments=changed("segments", below.segments, segment_changes),
        datatypes=changed("datatypes", below.datatypes, segment_changes),
    )
    used = {row.segment_map for rows in laid.messages.values() for row in rows}
    if idle := sorted(set(laid.segments) - set(below.segments) - used):
        raise ValueError(f"{folder}/segments/{idle[0]}: no message table names this segment map")
    return laid


def _text(file: str, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = content.count(b"\n", 0, problem.start) + 1
        raise ValueError(f"{file}, line {line}: this is not UTF-8") from None


@dataclass(frozen=True, slots=True)
class _Maps:
    """The ConceptMaps of one hospital: url and file of each, their sources, and what translates."""

    names: tuple[tuple[str, str], ...]
    sources: Mapping[str, frozenset[str]]
    translator: Translator


def _concept_maps(files: Mapping[str, bytes]) -> Mapping[str, _Maps]:
    """Read and validate the ConceptMaps of each hospital."""
    known = Terminology.load()
    ours = [each for each in artefacts.load("terminology") if "url" in each]
    theirs: dict[str, dict[str, tuple[str, Resource]]] = {}
    for name, content in files.items():
        match = _MAP.fullmatch(name)
        if match is None:
            continue
        resource = _concept_map(name, content, known)
        held = theirs.setdefault(match["ods"], {})
        first, _ = held.setdefault(resource["url"], (name, resource))
        if first != name:
            raise ValueError(f"{name}: {first} has the url {resource['url']} too")
    for held in theirs.values():
        known_urls = {*held, *artefacts.by_url("terminology", "ConceptMap")}
        for name, resource in held.values():
            if unknown := sorted(_handed_over(resource) - known_urls):
                raise ValueError(f"{name}: it hands over to {unknown[0]}, which is not here")
    return {
        ods: _Maps(
            tuple((url, name) for url, (name, _) in held.items()),
            {url: _sources(resource) for url, (_, resource) in held.items()},
            MappingContext(
                Terminology(Catalogue.of([*ours, *(resource for _, resource in held.values())]))
            ),
        )
        for ods, held in theirs.items()
    }


def _concept_map(name: str, content: bytes, known: Terminology) -> Resource:
    try:
        resource = decode(content)
    except (ValueError, FhirError) as problem:
        raise ValueError(f"{name}: this is not JSON: {problem}") from None
    if not isinstance(resource, dict) or resource.get("resourceType") != "ConceptMap":
        raise ValueError(f"{name}: this is no ConceptMap")
    issues = validate(resource, known, options=Options(warnings=False))
    if issues:
        raise ValueError(f"{name}: {issues[0].expression or ''} {issues[0].diagnostics}")
    if "url" not in resource:
        raise ValueError(f"{name}: the ConceptMap has no url, by which a site file could name it")
    return resource


def _handed_over(concept_map: Resource) -> set[str]:
    """List the ConceptMaps that are asked about what one does not map."""
    groups = concept_map.get("group", ())
    return {group["unmapped"]["url"] for group in groups if "url" in group.get("unmapped", {})}


def _sources(concept_map: Resource) -> frozenset[str]:
    return frozenset(group.get("source", "") for group in concept_map.get("group", ()))


def _habits(files: Mapping[str, bytes], maps: Mapping[str, _Maps]) -> Iterator[tuple[str, Site]]:
    """Yield the habits of each hospital: what the package says of it, and the operator over that."""
    yield from sites.every().items()
    for ods, name in sorted(_written(files).items()):
        said = sites.read(name, files[name])
        own = maps.get(ods)
        theirs = dict.fromkeys(own.sources, own.translator) if own else {}
        for vocabulary, url in said.concept_maps.items():
            _check_map(name, vocabulary, url, own)
        yield ods, sites.merged(sites.site(ods), replace(said, translators=theirs))


def _check_map(name: str, vocabulary: str, url: str, own: _Maps | None) -> None:
    """Refuse a ConceptMap that is not there, or that maps no code of the vocabulary."""
    known = artefacts.by_url("terminology", "ConceptMap")
    if own is not None and url in own.sources:
        sources = own.sources[url]
    elif url in known:
        sources = _sources(known[url])
    else:
        ods = name.removeprefix(f"{SITES}/")[:-5]
        raise ValueError(f"{name}: there is no ConceptMap {url} in {CONCEPT_MAPS}/{ods}")
    wanted = tables.vocabularies()[vocabulary].system
    if wanted not in sources:
        raise ValueError(
            f"{name}: {url} maps no code of {vocabulary}: no group has source {wanted}"
        )
