"""`mappings check`: tell what an operator's folder of mappings holds, or what HL7's own tables do."""

from collections.abc import Iterator
from pathlib import Path

from mappings import layers
from mappings.hl7v2 import official
from mappings.hl7v2.official import Account, Report, Verdict
from mappings.hl7v2.official.layer import KINDS
from mappings.hl7v2.overlay import OPS


def check(place: Path) -> int:
    """Print what an operator's folder holds, or the account of HL7's tables in a folder or an archive.

    Returns 0 where all is good, else 1. Raises OSError and ValueError, naming file and line, where the
    place holds no tables or an operator's folder has a fault.
    """
    if any((place / name).is_dir() for name in layers.FOLDERS):
        for line in found(place):
            print(line)
        return 0
    report = official.check(official.read(place))
    for line in lines(report):
        print(line)
    return 0 if report.is_good else 1


def found(place: Path) -> Iterator[str]:
    """Yield the lines that tell what an operator's folder holds. Raises ValueError for a fault."""
    engine, held = layers.check(place)
    names = {name for name, _ in held.changes}
    for name in sorted(names):
        counted = ", ".join(f"{held.changes[name, op]} {op}" for op in OPS)
        yield f"{name}: {counted}"
    yield f"{len(held.sites)} hospitals: {', '.join(held.sites) or 'none'}"
    yield f"{held.concept_maps} ConceptMaps"
    yield from (f"  no site file names {name}" for name in held.unused)
    if held.messages:
        yield f"base: maps {', '.join(held.messages)}; {len(held.idle)} rows cannot be run:"
        yield from (f"  {origin}: {reason}" for origin, reason in held.idle)
    yield f"good; the version is {engine.version}"


def lines(report: Report) -> Iterator[str]:
    """Yield the lines that an operator reads: each kind's counts, then what is wrong and why."""
    for kind in KINDS:
        counts = report.counts(kind)
        rows = counts.total() - counts[Verdict.UNMAPPED]
        share = 100 * counts[Verdict.ERRATUM] / rows if rows else 0.0
        yield (
            f"{kind}: {rows} rows, {counts[Verdict.COMPILED]} compile, "
            f"{counts[Verdict.DECIDED]} decided, {counts[Verdict.LEFT_OUT]} left out, "
            f"{counts[Verdict.ERRATUM]} errata ({share:.1f} %), "
            f"{counts[Verdict.FAULT]} not accounted for"
        )
        if counts[Verdict.UNMAPPED]:
            yield f"  and {counts[Verdict.UNMAPPED]} codes of FHIR beside which no code of v2 stands"
        if not report.within(kind):
            yield f"  more than {official.PERCENT} % are errata"
    yield from _listed(report, Verdict.FAULT, "not accounted for:")
    yield from _listed(report, Verdict.ERRATUM, "errata:")
    yield from _listed(report, Verdict.LEFT_OUT, "left out:")
    yield from _listed(report, Verdict.DECIDED, "decided:")
    if report.stale:
        yield f"{len(report.stale)} decisions of this release are about no row of these tables:"
        for key in report.stale:
            yield f"  {key.table} ({key.identifier}) {key.target}"


def _listed(report: Report, verdict: Verdict, heading: str) -> Iterator[str]:
    found = [account for account in report.accounts if account.verdict is verdict]
    if found:
        yield heading
    yield from map(_line, found)


def _line(account: Account) -> str:
    return f"  {account.origin} {account.target}: {account.reason}"
