"""An outcome definition as frozen values."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from outcome_engine.expressions.syntax import Node, Type, facts_of
from r4.json import Resource

Value = Literal[
    "exists", "count", "sum", "min", "max", "first", "last", "set",
    "earliest", "latest", "earliest-moment", "latest-moment",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Selection:
    """The rows of a view for which an expression is true (all of them, where it is None)."""

    view: str
    where: Node | None
    description: str


@dataclass(frozen=True, slots=True)
class Taken:
    """A child's fact: a value of the rows of a selection, or an expression over facts before it.

    of and by are columns; unit: of `staging.UNITS`, the one that a quantity is read in; role says
    whether it is an attribute of a score or a factor of case-mix.
    """

    id: str
    title: str
    citation: str
    type: Type
    value: Value | None
    selection: Selection | None
    of: str | None
    by: str | None
    expression: Node | None
    role: Literal["fact", "attribute", "factor"] = "fact"
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class Index:
    """The index event: the rows of a selection on their earliest day."""

    selection: Selection
    title: str


@dataclass(frozen=True, slots=True)
class Due:
    """From when every outcome should be known: `%dueDate`, and otherwise decides where it is not."""

    date: Node
    otherwise: Node | None


@dataclass(frozen=True, slots=True)
class Evident:
    """What shows that a rule is met, or that it is not: selections, or an expression over facts."""

    selections: tuple[Selection, ...]
    expression: Node | None
    description: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One adverse outcome; minimum_age is in months or None; date is the fact that dates it or None."""

    id: str
    title: str
    citation: str
    minimum_age: int | None
    met: Evident
    not_met: Evident
    missing: str
    date: str | None


@dataclass(frozen=True, slots=True)
class ClassRule:
    """One step of the combination of rules into a class; the first whose criteria hold decides."""

    id: str
    title: str
    citation: str
    outcome_class: str
    criteria: Node
    statement: str


Step = Taken | Index | Due


@dataclass(frozen=True)
class Definition:
    """A measure that is computed; steps in the order in which they are; populations by their code.

    observation is the criteria of population `measure-observation`: a number, or None.
    """

    measure: Resource
    library: Resource
    case: Selection
    steps: tuple[Step, ...]
    rules: tuple[Rule, ...]
    class_rules: tuple[ClassRule, ...]
    populations: Mapping[str, Node]
    observation: Node | None

    @property
    def canonical(self) -> str:
        """Return the measure's url with its version."""
        return f"{self.measure['url']}|{self.measure['version']}"

    @cached_property
    def facts(self) -> tuple[Taken, ...]:
        """List the facts, attributes and factors in the order in which they are computed."""
        return tuple(step for step in self.steps if isinstance(step, Taken))

    @cached_property
    def origins(self) -> Mapping[str, frozenset[str]]:
        """Map each fact to those that it is computed of in the end, which rows gave, or it itself."""
        found: dict[str, frozenset[str]] = {}
        for fact in self.facts:
            read = facts_of(fact.expression) if fact.expression is not None else {fact.id}
            found[fact.id] = frozenset().union(*(found.get(name, {name}) for name in read))
        return found

    @cached_property
    def adverse(self) -> tuple[Rule, ...]:
        """List the rules that an outcome may be bad by; the others are found and shown."""
        criteria = [step.criteria for step in self.class_rules if step.outcome_class == "bad"]
        read = frozenset[str]().union(*(facts_of(each) for each in criteria))
        return tuple(rule for rule in self.rules if rule.id in read or "rulesMet" in read)

    @cached_property
    def index(self) -> Index | None:
        """Return what the index event is, or None."""
        return next((step for step in self.steps if isinstance(step, Index)), None)

    @cached_property
    def due(self) -> Due | None:
        """Return when every outcome should be known, or None."""
        return next((step for step in self.steps if isinstance(step, Due)), None)

    @cached_property
    def selections(self) -> tuple[Selection, ...]:
        """List every selection of rows that the definition makes, the case's first."""
        found = [self.case]
        for step in self.steps:
            selection = None if isinstance(step, Due) else step.selection
            if selection is not None:
                found.append(selection)
        for rule in self.rules:
            found += [*rule.met.selections, *rule.not_met.selections]
        return tuple(found)

    @cached_property
    def views(self) -> tuple[str, ...]:
        """List the ids of the views that the definition reads; `patient` and `case` come first."""
        return tuple(dict.fromkeys(["patient", "case", *(each.view for each in self.selections)]))
