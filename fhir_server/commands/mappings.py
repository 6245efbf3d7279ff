"""`mappings check`: tell what would become of HL7's own v2-to-FHIR tables, row by row."""

from collections.abc import Iterator
from pathlib import Path

from mappings.hl7v2 import official
from mappings.hl7v2.official import Account, Report, Verdict
from mappings.hl7v2.official.layer import KINDS


def check(place: Path) -> int:
    """Print the account of the tables in a folder or an archive; 0 where it is good, else 1.

    Raises OSError and ValueError where the place holds no tables.
    """
    report = official.check(official.read(place))
    for line in lines(report):
        print(line)
    return 0 if report.is_good else 1


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
