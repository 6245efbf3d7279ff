"""Releases of large code systems, in the formats of those who publish them, as rows.

A release has parts; each is a file, and how its rows are read. Concepts stand in the first parts, and
what refers to them in later ones. https://hl7.org/fhir/R4/terminologies-systems.html
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath

from terminology import systems
from terminology.loaders import claml, icd10, loinc, ods, opcs4, rf2
from terminology.loaders.rows import File, Row

INTERNATIONAL = "900000000000207008"
"""The module of SNOMED CT's International Edition, as the specification's page names it."""
_TITLES = re.compile(r"codes ?and ?titles.*\.txt", re.IGNORECASE)
_MODULE = re.compile(r"[0-9]{6,18}")


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of one file of a release."""

    file: File
    rows: Callable[[], Iterator[Row]]


@dataclass(frozen=True, slots=True)
class Release:
    """A release of a code system; is_complete: whether a code that it does not have does not exist.

    files: every file that is read, those included of which only what they say of others is used.
    """

    url: str
    version: str
    is_complete: bool
    files: tuple[File, ...]
    parts: tuple[Part, ...]


def snomed(files: Sequence[File], version: str | None, on: str) -> Release:
    """Return a release of SNOMED CT from the snapshot files of RF2 among the given ones.

    version: an edition's version (`http://snomed.info/sct/<module>/version/<date>`), or the module
    alone, to which the date in the files' names is added; None: the International Edition.
    """
    del on
    of = partial(_matching, files)
    concepts = of(r"sct2_Concept_.*Snapshot.*\.txt")
    descriptions = of(r"sct2_Description_.*Snapshot.*\.txt")
    relationships = of(r"sct2_Relationship_.*Snapshot.*\.txt")
    languages = of(r"der2_cRefset_Language.*Snapshot.*\.txt")
    simple = of(r"der2_Refset_.*Snapshot.*\.txt")
    associations = of(r"der2_cRefset_Association.*Snapshot.*\.txt")
    if not (concepts and descriptions and relationships and languages):
        raise ValueError(
            "a release of SNOMED CT has snapshot files of concepts, descriptions, relationships and"
            " language reference sets: give the folder or the zip that holds all of them"
        )
    parts = [
        *(_part(rf2.concepts, file) for file in concepts),
        *(Part(file, partial(_names, file, languages)) for file in descriptions),
        *(_part(rf2.parents, file) for file in relationships),
        *(_part(rf2.members, file) for file in simple),
        *(_part(rf2.replacements, file) for file in associations),
    ]
    read = (*concepts, *descriptions, *relationships, *languages, *simple, *associations)
    edition = _edition(version, PurePosixPath(concepts[0].name).name)
    return Release(systems.SNOMED_CT, edition, True, read, tuple(parts))


def _names(file: File, languages: Sequence[File]) -> Iterator[Row]:
    preferences = rf2.preferred((each.name, each.lines()) for each in languages)
    return rf2.names(file.name, file.lines(), preferences)


def _edition(version: str | None, name: str) -> str:
    if version is not None and not _MODULE.fullmatch(version):
        return version
    tagged = re.search(r"_([A-Za-z0-9]+)_([0-9]{8})\.txt$", name)
    is_international = tagged is not None and tagged[1] == "INT"
    module = version or (INTERNATIONAL if is_international else None)
    if tagged is None or module is None:
        raise ValueError(
            f"which edition {name} is of cannot be told: give --version with its module, or as"
            f" {systems.SNOMED_CT}/<module>/version/<YYYYMMDD>"
        )
    return f"{systems.SNOMED_CT}/{module}/version/{tagged[2]}"


def opcs_4(files: Sequence[File], version: str | None, on: str) -> Release:
    """Return a release of OPCS-4 from its file of codes and titles."""
    del on
    file = _only(files, _TITLES, "the text file of codes and titles")
    parts = (_part(opcs4.concepts, file), _part(opcs4.parents, file))
    return Release(systems.OPCS_4, _given(version, "4.11"), True, (file,), parts)


def icd_10(files: Sequence[File], version: str | None, on: str) -> Release:
    """Return a release of ICD-10 from TRUD's file of codes and titles, or from ClaML."""
    del on
    texts = [file for file in files if file.name.endswith(".xml")]
    if texts and not any(_TITLES.search(file.name) for file in files):
        file = _only(texts, re.compile(r"\.xml$"), "the ClaML file")
        stated = version or claml.version(file.name, file.lines())
        parts = (_part(claml.concepts, file), _part(claml.parents, file))
        is_complete = not claml.has_modifiers(file.lines())
        return Release(systems.ICD_10, _given(stated, "2019"), is_complete, (file,), parts)
    file = _only(files, _TITLES, "the text file of codes and titles, or the ClaML file")
    parts = (_part(icd10.concepts, file), _part(icd10.parents, file))
    return Release(systems.ICD_10, _given(version, "5.0"), True, (file,), parts)


def organisations(files: Sequence[File], version: str | None, on: str) -> Release:
    """Return a release of the Organisation Data Service from its CSV files, trusts and sites alike."""
    chosen = _matching(files, r".*\.csv")
    if not chosen:
        raise ValueError("there is no CSV file: give one such as etr.csv, or a folder of them")
    parts = (Part(file, partial(_organisations, file, on)) for file in chosen)
    version = _given(version, "2026-01-30")
    return Release(systems.ODS_ORGANIZATION, version, False, tuple(chosen), tuple(parts))


def _organisations(file: File, on: str) -> Iterator[Row]:
    return ods.concepts(file.name, file.lines(), on)


def loinc_release(files: Sequence[File], version: str | None, on: str) -> Release:
    """Return a release of LOINC from its table, its hierarchy and its replacements."""
    del on
    table = _only(files, re.compile(r"(^|/)Loinc\.csv$"), "Loinc.csv")
    maps = _matching(files, r"MapTo\.csv")
    hierarchies = _matching(files, r"ComponentHierarchyBySystem\.csv")
    parts = [_part(loinc.concepts, table)]
    parts += [_part(loinc.parts, file) for file in hierarchies]
    parts += [_part(loinc.parents, file) for file in hierarchies]
    parts += [_part(loinc.replacements, file) for file in maps]
    read = (table, *hierarchies, *maps)
    # Answers, and parts that stand in no hierarchy, are codes of LOINC too.
    return Release(systems.LOINC, _given(version, "2.81"), False, read, tuple(parts))


KINDS: dict[str, Callable[[Sequence[File], str | None, str], Release]] = {
    "snomed": snomed,
    "opcs4": opcs_4,
    "icd10": icd_10,
    "ods": organisations,
    "loinc": loinc_release,
}
"""What makes a release of a kind: of its files, the version that is given, and the date (YYYYMMDD)."""


def _part(read: Callable[..., Iterator[Row]], file: File) -> Part:
    return Part(file, partial(_rows, read, file))


def _rows(read: Callable[..., Iterator[Row]], file: File) -> Iterator[Row]:
    return read(file.name, file.lines())


def _matching(files: Sequence[File], pattern: str) -> list[File]:
    fits = re.compile(pattern).fullmatch
    found = [file for file in files if fits(PurePosixPath(file.name).name)]
    return sorted(found, key=lambda file: file.name)


def _only(files: Sequence[File], pattern: re.Pattern[str], what: str) -> File:
    """Return the one file that fits, or the one that is given."""
    found = [file for file in files if pattern.search(file.name)] or list(files)
    if len(found) != 1:
        raise ValueError(f"{len(found)} files could be {what}: give this one alone")
    return found[0]


def _given(version: str | None, example: str) -> str:
    if not version:
        raise ValueError(f"the files do not say their version: give --version, such as {example}")
    return version
