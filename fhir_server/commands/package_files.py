"""FHIR packages and folders of definitions, read file by file, JSON or XML.

A package is an npm archive (.tgz), or one unpacked: what stands beside its `package/package.json` is its
content. Of another folder, and of a zip, every .json and .xml file is read, however deep.
https://hl7.org/fhir/packages.html
"""

import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from r4 import definitions, xml
from r4.issue import FhirError
from r4.json import Resource, decode

LARGEST = 64 * 1024 * 1024
"""Bytes of one file; what is larger is refused."""
_SUFFIXES = (".json", ".xml")
_ARCHIVES = (".tgz", ".tar.gz", ".zip")
_MANIFESTS = ("package/package.json", "package.json")
_BOM = b"\xef\xbb\xbf"
_BYTE = re.compile(r"\(byte (\d+)\)")
_LINE = re.compile(r"^Line (\d+): ")


@dataclass(frozen=True, slots=True)
class Package:
    """What a package says of itself: name, version, what it needs (name to version), FHIR versions."""

    name: str
    version: str = ""
    dependencies: dict[str, str] = field(default_factory=dict)
    fhir_versions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """One resource and the file that it stands in."""

    file: str
    resource: Resource


@dataclass(frozen=True, slots=True)
class Refused:
    """One file that cannot be taken: where, as far as it is known, and why."""

    file: str
    line: int | None
    reason: str


def described(place: Path) -> Package:
    """Return what a package says of itself in package.json; without one, the folder's name.

    Raises ValueError where there is nothing to read, or package.json is not one.
    """
    if not place.is_dir() and not place.name.endswith(_ARCHIVES):
        raise ValueError(f"{place} is neither a folder nor a package (.tgz, .zip)")
    found = _manifest(place)
    if found is None:
        name = place.resolve().name
        return Package(next((name.removesuffix(s) for s in _ARCHIVES if name.endswith(s)), name))
    try:
        said = decode(found.removeprefix(_BOM))
        return Package(
            str(said["name"]),
            str(said.get("version", "")),
            {str(name): str(version) for name, version in said.get("dependencies", {}).items()},
            tuple(said.get("fhirVersions") or said.get("fhir-version-list") or ()),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(f"{place}: package.json is not that of a package") from None


def read(place: Path) -> Iterator[Found | Refused]:
    """Yield the resource, or the refusal, of each file; what names no resource type is passed over."""
    listed = (
        _of_folder(place) if place.is_dir()
        else _of_zip(place) if place.suffix == ".zip"
        else _of_archive(place)
    )  # fmt: skip
    for file, content in listed:
        if isinstance(content, Refused):
            yield content
        elif (found := _read(file, content)) is not None:
            yield found


def _read(file: str, content: bytes) -> Found | Refused | None:
    try:
        resource = (
            xml.decode(content) if file.endswith(".xml") else decode(content.removeprefix(_BOM))
        )
    except FhirError as refusal:
        return _refused_xml(file, refusal)
    except (ValueError, RecursionError) as failure:
        byte = _BYTE.search(str(failure))
        line = content.count(b"\n", 0, int(byte[1])) + 1 if byte else None
        return Refused(file, line, str(failure))
    if not isinstance(resource, dict) or "resourceType" not in resource:
        return None
    if resource["resourceType"] not in definitions.resource_types():
        return Refused(file, None, f"{resource['resourceType']!r} is no resource type of FHIR R4")
    return Found(file, resource)


def _refused_xml(file: str, refusal: FhirError) -> Refused:
    said = refusal.issues[0].diagnostics
    line = _LINE.match(said)
    return Refused(file, int(line[1]) if line else None, said[line.end() :] if line else said)


def _manifest(place: Path) -> bytes | None:
    if place.is_dir():
        for file in (place / each for each in _MANIFESTS):
            if file.is_file():
                return file.read_bytes()
        return None
    if place.suffix == ".zip":
        return _manifest_of_zip(place)
    try:
        with tarfile.open(place, "r|gz") as archive:
            for member in archive:
                if member.isfile() and PurePosixPath(member.name).parts == (
                    "package",
                    "package.json",
                ):
                    return _content(archive, member)
    except (tarfile.TarError, EOFError, zlib.error, OSError) as failure:
        raise ValueError(f"{place} cannot be read: {failure}") from None
    return None


def _manifest_of_zip(place: Path) -> bytes | None:
    try:
        with zipfile.ZipFile(place) as archive:
            found = [each for each in _MANIFESTS if each in archive.namelist()]
            return archive.read(found[0]) if found else None
    except (zipfile.BadZipFile, zlib.error, OSError) as failure:
        raise ValueError(f"{place} cannot be read: {failure}") from None


def _of_folder(place: Path) -> Iterator[tuple[str, bytes | Refused]]:
    unpacked = (place / "package" / "package.json").is_file()
    files = (place / "package").iterdir() if unpacked else place.rglob("*")
    for file in sorted(files):
        name = file.relative_to(place).as_posix()
        if not _is_content(name) or not file.is_file():
            continue
        if file.stat().st_size > LARGEST:
            yield name, _too_large(name)
            continue
        try:
            yield name, file.read_bytes()
        except OSError as failure:
            yield name, Refused(name, None, f"it cannot be read: {failure.strerror}")


def _of_archive(place: Path) -> Iterator[tuple[str, bytes | Refused]]:
    try:
        with closing(tarfile.open(place, "r|gz")) as archive:
            for member in archive:
                name = member.name
                beside = PurePosixPath(name).parts[:-1] == ("package",)
                if not (beside and member.isfile() and _is_content(name)):
                    continue
                if member.size > LARGEST:
                    yield name, _too_large(name)
                else:
                    yield name, _content(archive, member)
    except (tarfile.TarError, EOFError, zlib.error, OSError) as failure:
        yield place.name, Refused(place.name, None, f"the archive breaks off here: {failure}")


def _of_zip(place: Path) -> Iterator[tuple[str, bytes | Refused]]:
    with zipfile.ZipFile(place) as archive:
        listed = sorted(archive.infolist(), key=lambda each: each.filename)
        is_package = any(each.filename == _MANIFESTS[0] for each in listed)
        for each in listed:
            name = each.filename
            beside = PurePosixPath(name).parts[:-1] == ("package",)
            if each.is_dir() or not _is_content(name) or (is_package and not beside):
                continue
            if each.file_size > LARGEST:
                yield name, _too_large(name)
                continue
            try:
                yield name, archive.read(each)
            except (zipfile.BadZipFile, zlib.error, RuntimeError) as failure:
                yield name, Refused(name, None, f"it cannot be read: {failure}")


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = archive.extractfile(member)
    return stream.read() if stream is not None else b""


def _is_content(name: str) -> bool:
    parts = PurePosixPath(name).parts
    hidden = any(part.startswith(".") or part == "node_modules" for part in parts)
    return name.endswith(_SUFFIXES) and not hidden and parts[-1] != "package.json"


def _too_large(name: str) -> Refused:
    return Refused(name, None, f"it has more than {LARGEST // 1024 // 1024} MB")
