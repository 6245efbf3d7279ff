"""What came of a simulation, counted while it runs."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from fhir_server.simulate.sending import Answer, Sending

_PROBLEMS_KEPT = 20


@dataclass(frozen=True, slots=True)
class Summary:
    """The counts of a simulation, final or so far.

    messages counts accepted sendings by kind; refused counts refusals; unexpected counts faulty
    sendings that were accepted and sound ones that were refused, with the first of them in
    problems; skipped were in the ledger before; missing_forms are those the server did not have;
    expected is how many sendings there will be, about.
    """

    children: int
    expected: int
    messages: Mapping[str, int]
    notes: int
    surveys: int
    refused: int
    unexpected: int
    skipped: int
    seconds: float
    problems: tuple[str, ...] = ()
    missing_forms: tuple[str, ...] = ()

    @property
    def answered(self) -> int:
        """Return how many sendings were answered in this run."""
        return sum(self.messages.values()) + self.refused


@dataclass(slots=True)
class Tally:
    """The counts in the making."""

    children: int
    expected: int
    messages: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    unexpected: int = 0
    skipped: int = 0
    problems: list[str] = field(default_factory=list)
    missing_forms: tuple[str, ...] = ()

    @property
    def answered(self) -> int:
        """Return how many sendings were answered so far."""
        return self.messages.total() + self.refused

    def count(self, sending: Sending, answer: Answer) -> None:
        """Count one answer."""
        if answer.accepted:
            self.messages[sending.kind] += 1
        else:
            self.refused += 1
        if answer.accepted == sending.faulty:
            self.unexpected += 1
            if len(self.problems) < _PROBLEMS_KEPT:
                name = f"{sending.hospital} {sending.kind} {sending.id}".strip()
                self.problems.append(f"{name}: {answer.code} {answer.text or 'although faulty'}")

    def summary(self, seconds: float) -> Summary:
        """Return the counts so far."""
        return Summary(
            self.children,
            self.expected,
            dict(self.messages),
            self.messages["QuestionnaireResponse/$sign"],
            self.messages["QuestionnaireResponse/$process-response"],
            self.refused,
            self.unexpected,
            self.skipped,
            seconds,
            tuple(self.problems),
            self.missing_forms,
        )
