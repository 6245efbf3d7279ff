"""`mappings`: tell what an operator's folder of mappings holds, what HL7's tables do, and how ours agree."""

import csv
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from mappings import layers
from mappings.hl7v2 import official
from mappings.hl7v2.official import Account, Report, Verdict
from mappings.hl7v2.official.agreement import Agreement, Outcome, agreement
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


def agree(place: Path, *, as_csv: bool = False) -> int:
    """Print how HL7's tables in a folder or an archive stand to ours, row by row, and why they differ.

    Returns 0 where each difference has a reason, else 1. Raises OSError and ValueError where the place
    holds no tables.
    """
    compared = agreement(official.read(place))
    if as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(("table", "line", "identifier", "target", "outcome", "ours", "reason"))
        for row in compared.rows:
            named = (row.key.table, row.line, row.key.identifier, row.key.target)
            writer.writerow((*named, row.outcome, row.ours, row.reason))
    else:
        for line in compared_lines(compared):
            print(line)
    return 1 if compared.unexplained else 0


def compared_lines(compared: Agreement) -> Iterator[str]:
    """Yield the lines that an analyst reads: what differs and why, what nobody explains."""
    for kind in KINDS:
        counts = compared.counts(kind)
        yield f"{kind}: " + ", ".join(f"{counts[outcome]} {outcome}" for outcome in Outcome)
    for name, rows in groupby(compared.rows, key=lambda row: row.key.table):
        listed = list(rows)
        counts = Counter(row.outcome for row in listed)
        yield f"{name}: {', '.join(f'{counts[one]} {one}' for one in Outcome if counts[one])}"
        if counts[Outcome.NO_TABLE]:
            continue  # all of it: the base layer maps what no table of ours does
        for row in listed:
            if row.outcome is not Outcome.SAME:
                instead = f" ({row.ours})" if row.ours else ""
                told = f"line {row.line} ({row.key.identifier}) {row.key.target}"
                yield f"  {told}: {row.outcome}{instead}: {row.reason or 'NO REASON'}"
    if compared.unexplained:
        yield f"{len(compared.unexplained)} differences have no reason: say it in the comment of our"
        yield "row, or in mappings/hl7v2/official/agreement.csv"
    for key in compared.stale:
        yield f"agreement.csv explains nothing by {key.table}, {key.identifier}, {key.target}"


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
