"""`load` of HL7's own v2-to-FHIR tables: copied, byte for byte, to the base layer of the mappings."""

import shutil
from pathlib import Path

from fhir_server.commands.mappings import lines
from mappings import layers
from mappings.hl7v2 import official, tables


def load(folder: Path | None, place: Path) -> int:
    """Check the tables of a folder or an archive and copy them; 0 where they are good, else 1.

    folder: the operator's, which the next start reads. Raises ValueError where there is none, or a row
    cannot be used; OSError where a place cannot be read or written. A base that is there is replaced as
    a whole.
    """
    if folder is None:
        raise ValueError("HL7's tables are kept in the folder of CSOR_MAPPINGS, which is not set")
    _restore(folder)
    read = official.read(place)
    report = official.check(read)
    if not report.is_good:
        print(f"{place}: not loaded")
        for line in lines(report):
            print(line)
        return 1
    structures, idle = layers.stacked(tables.own(), read)
    count = _copy(place, folder)
    mapped = sorted(set(structures) - set(tables.messages()))
    print(f"{place}: {count} tables copied to {folder / layers.BASE}")
    print(f"  they map {', '.join(mapped) or 'no message'}, from the next start on")
    print(f"  {len(idle)} of their rows cannot be run: `mappings check {folder}` lists them")
    return 0


def _restore(folder: Path) -> None:
    """Put back the base that an interrupted load had taken away, and not replaced."""
    old, base = folder / layers.REPLACED, folder / layers.BASE
    if old.exists() and not base.exists():
        old.rename(base)


def _copy(place: Path, folder: Path) -> int:
    """Write the tables beside the base that is there, and put them in its place."""
    fresh, old, base = (folder / name for name in (".base-new", layers.REPLACED, layers.BASE))
    for left in (fresh, old):
        shutil.rmtree(left, ignore_errors=True)
    count = 0
    for kind, file, content in official.files(place):
        (fresh / kind).mkdir(parents=True, exist_ok=True)
        (fresh / kind / file).write_bytes(content)
        count += 1
    if base.exists():
        base.rename(old)
    fresh.rename(base)
    shutil.rmtree(old, ignore_errors=True)
    return count
