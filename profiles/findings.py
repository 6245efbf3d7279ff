"""What one validation finds, and where: the path to an element, and the list that grows.

A path is a chain of (parent, name, index), spelt out only when there is something to report.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from r4.fhirpath import Environment
from r4.issue import Issue, Severity
from r4.json import Resource

MOST_FINDINGS = 200
"""Of more findings than these the rest is not listed; another error ends the validation."""

_MORE = f"There are more than {MOST_FINDINGS} findings; the others are not listed."

Path = tuple["Path | None", str, int | None]
"""Where an element stands: its parent's path, its FHIRPath name, its index where it repeats."""


class TooManyFindingsError(Exception):
    """Ends a validation whose list of findings is full; never leaves this package."""


class Around(Protocol):
    """What a validation asks beyond the resource itself; None is no answer."""

    def conforms(self, value: Any, canonical: str, run: "Run", /) -> bool | None:
        """Tell whether a value conforms to a profile; None where that is not known here."""
        ...

    def is_member(self, value: Any, value_set_url: str, /) -> bool | None:
        """Tell whether a code, Coding or CodeableConcept is in a value set."""
        ...


Resolve = Callable[[str], Resource | None]
"""From the text of a reference to the resource."""


@dataclass(slots=True)
class Run:
    """One validation under way: the findings, and the resources that invariants refer to.

    `resource` is FHIRPath's %resource and `root` its %rootResource. `malformed` counts the values
    that are not what their type says: what contains one is spared the rules that would read it.
    `environment` is what the FHIRPath engine is given, made when the first expression needs it.
    `start` is where the resource stands; None for the outermost. `profile` is the one whose rules are
    looked at. `asked` are the questions of conformance that are being answered: (id of value, url).
    """

    resource: Resource
    root: Resource
    now: str | None = None
    issues: list[Issue] = field(default_factory=list)
    malformed: int = 0
    environment: Environment | None = None
    start: Path | None = None
    around: Around | None = None
    resolve: Resolve | None = None
    profile: str | None = None
    asked: frozenset[tuple[int, str]] = frozenset()

    def inside(self, resource: Resource, root: Resource, start: Path) -> "Run":
        """Go on inside another resource, with the same list of findings."""
        return Run(
            resource,
            root,
            self.now,
            self.issues,
            start=start,
            around=self.around,
            resolve=self.resolve,
            profile=self.profile,
            asked=self.asked,
        )

    def under(self, profile: str) -> "Run":
        """Go on with the rules of a profile, with the same list of findings."""
        return self._with(self.issues, self.environment, profile, self.asked)

    def apart(self, question: tuple[int, str] | None = None) -> "Run":
        """Look at something without reporting it: a run with a list of findings of its own."""
        asked = self.asked | {question} if question else self.asked
        return self._with([], None, self.profile, asked)

    def _with(
        self,
        issues: list[Issue],
        environment: Environment | None,
        profile: str | None,
        asked: frozenset[tuple[int, str]],
    ) -> "Run":
        """Do what dataclasses.replace does, in a tenth of the time."""
        return Run(
            self.resource,
            self.root,
            self.now,
            issues,
            self.malformed,
            environment,
            self.start,
            self.around,
            self.resolve,
            profile,
            asked,
        )

    def refuse(self, code: str, diagnostics: str, path: Path, rule: str) -> None:
        """Report a value that is not what its type says."""
        self.malformed += 1
        self.report("error", code, diagnostics, path, rule)

    def report(
        self, severity: Severity, code: str, diagnostics: str, path: Path, rule: str
    ) -> None:
        """Report a finding; raises TooManyFindingsError for an error when the list is full."""
        if len(self.issues) < MOST_FINDINGS:
            found = Issue(severity, code, diagnostics, spell(path), rule, self.profile)
            self.issues.append(found)
        elif severity == "error":
            self.issues[-1] = Issue("error", "too-costly", _MORE, spell(path), rule, self.profile)
            raise TooManyFindingsError
        else:
            self.issues[-1] = Issue("information", "informational", _MORE)


Check = Callable[[Any, Path, Run], None]
"""What looks at one value and reports what it finds."""


def spell(path: Path) -> str:
    """Spell a path as FHIRPath: `Patient.name[0].given[1]`."""
    parent, name, index = path
    here = name if index is None else f"{name}[{index}]"
    return here if parent is None else f"{spell(parent)}.{here}"


def listed(words: Iterable[str]) -> str:
    """Write words as a list for a sentence: `a, b or c`."""
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last


def shown(value: Any) -> str:
    """Write a JSON value for a sentence, cut where it is long."""
    text = f"'{value}'" if isinstance(value, str) else _SPELT.get(str(value), str(value))
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


_LONGEST_SHOWN = 60
_SPELT = {"True": "true", "False": "false", "None": "null"}
