"""Whether every row of HL7's tables is accounted for.

It compiles, is decided or left out with a reason, or is an erratum with a reason.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from mappings.hl7v2.conditions import condition
from mappings.hl7v2.grammar import grammar
from mappings.hl7v2.official import decisions
from mappings.hl7v2.official.codetables import coding
from mappings.hl7v2.official.compile import Names, made, message_row, segment_row, sentence
from mappings.hl7v2.official.decisions import NEVER, Key
from mappings.hl7v2.official.layer import Layer
from mappings.hl7v2.rows import CodeRow, MessageRow, Origin, SegmentRow

PERCENT = 5
"""How many of a kind's rows may be errata."""


class Verdict(StrEnum):
    """What became of a row.

    `decided` compiles because `narrative.csv` says `always`, `left out` does not run for its `never`;
    `unmapped` is a code of FHIR's beside no code of v2.
    """

    COMPILED = "compiles"
    DECIDED = "decided"
    LEFT_OUT = "left out"
    ERRATUM = "erratum"
    UNMAPPED = "unmapped"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Account:
    """One row with a target: the verdict, its reason where it does not compile, and its repairs."""

    kind: str
    origin: Origin
    target: str
    verdict: Verdict
    reason: str = ""
    repairs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """The account of every row, and the decisions that no row needed."""

    accounts: tuple[Account, ...]
    stale: tuple[Key, ...]

    def counts(self, kind: str) -> Counter[Verdict]:
        """Count the verdicts of a kind (`messages`, `segments`, `datatypes`, `codesystems`)."""
        return Counter(account.verdict for account in self.accounts if account.kind == kind)

    def within(self, kind: str) -> bool:
        """Tell whether a kind has no more errata than it may have."""
        counts = self.counts(kind)
        rows = counts.total() - counts[Verdict.UNMAPPED]
        return counts[Verdict.ERRATUM] * 100 <= rows * PERCENT

    @property
    def is_good(self) -> bool:
        """Tell whether every row is accounted for, and no kind has too many errata."""
        kinds = {account.kind for account in self.accounts}
        faults = any(account.verdict is Verdict.FAULT for account in self.accounts)
        return not faults and all(map(self.within, kinds))


def check(layer: Layer) -> Report:
    """Compile every row that has a target, by what was decided of it."""
    used: set[Key] = set()
    accounts = [*_messages(layer, used), *_segments(layer, used), *_codes(layer, used)]
    known = {*decisions.narrative(), *decisions.errata()}
    return Report(tuple(accounts), tuple(sorted(known - used, key=str)))


def _messages(layer: Layer, used: set[Key]) -> Iterator[Account]:
    names = Names.of(layer)
    for name, rows in layer.messages.items():
        problem = _unclosed(name, rows)
        for row in filter(_has_target, rows):
            if problem:
                yield Account("messages", row.origin, row.target, Verdict.FAULT, problem)
            else:
                yield _account("messages", row, "", names, used)


def _has_target(row: MessageRow) -> bool:
    return bool(row.target)


def _unclosed(name: str, rows: Sequence[MessageRow]) -> str:
    """Say why the rows of a message table are no grammar; "" where they are one."""
    try:
        grammar(name, rows)
    except ValueError as problem:
        return str(problem)
    return ""


def _segments(layer: Layer, used: set[Key]) -> Iterator[Account]:
    names = Names.of(layer)
    for kind, tables in (("segments", layer.segments), ("datatypes", layer.datatypes)):
        for rows in tables.values():
            numbered = made(rows)
            for row in rows:
                if row.target:
                    yield _account(kind, row, numbered, names, used)


def _account(
    kind: str, row: MessageRow | SegmentRow, numbered: str, names: Names, used: set[Key]
) -> Account:
    key = Key(row.origin.table, row.identifier, row.target)
    found = sentence(row)
    decision = decisions.narrative().get(key) if found else None
    if decision is not None:
        used.add(key)
        if decision.decision == NEVER:
            return Account(kind, row.origin, row.target, Verdict.LEFT_OUT, decision.reason)
    elif found:
        return _refused(kind, row.origin, key, f"{found}, and nothing is decided of it", used)
    try:
        if isinstance(row, MessageRow):
            repairs = message_row(row, names).repairs
        else:
            face = decision is not None
            repairs = segment_row(row, numbered, names, at_face_value=face).target.repairs
    except ValueError as problem:
        return _refused(kind, row.origin, key, str(problem), used)
    if decision is not None:
        return Account(kind, row.origin, row.target, Verdict.DECIDED, decision.reason, repairs)
    return Account(kind, row.origin, row.target, Verdict.COMPILED, "", repairs)


def _refused(kind: str, origin: Origin, key: Key, problem: str, used: set[Key]) -> Account:
    erratum = decisions.errata().get(key)
    if erratum is None:
        return Account(kind, origin, key.target, Verdict.FAULT, problem)
    used.add(key)
    return Account(kind, origin, key.target, Verdict.ERRATUM, erratum.reason)


def _codes(layer: Layer, used: set[Key]) -> Iterator[Account]:
    for rows in layer.codesystems.values():
        yield from (_code(row, used) for row in rows if row.target)


def _code(row: CodeRow, used: set[Key]) -> Account:
    key = Key(row.origin.table, row.code, row.target)
    if not row.code:
        return Account("codesystems", row.origin, row.target, Verdict.UNMAPPED)
    if row.narrative and not row.antlr:
        decision = decisions.narrative().get(key)
        if decision is None:
            problem = "the condition is a sentence, and nothing is decided of it"
            return _refused("codesystems", row.origin, key, problem, used)
        used.add(key)
        return Account("codesystems", row.origin, row.target, Verdict.LEFT_OUT, decision.reason)
    try:
        if row.antlr:
            condition(row.antlr)
        coding(row)
    except ValueError as problem:
        return _refused("codesystems", row.origin, key, str(problem), used)
    return Account("codesystems", row.origin, row.target, Verdict.COMPILED)
