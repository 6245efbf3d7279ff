"""A Measure and its Library read into a Definition; what is wrong in them is refused by name."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import reduce
from types import MappingProxyType
from typing import Any, NoReturn, TypeGuard, get_args

from outcome_engine import staging
from outcome_engine.case_mix.factors import require_baseline
from outcome_engine.definitions.values import (
    ClassRule,
    Definition,
    Due,
    Evident,
    Index,
    Rule,
    Selection,
    Step,
    Taken,
    Value,
)
from outcome_engine.expressions import expression
from outcome_engine.expressions.syntax import Column, Constant, Fact, Node, Operation, Type
from outcome_engine.extensions import EXTENSION, parts, several, value
from outcome_engine.views.view import View, view, views
from r4.issue import FhirError, error
from r4.json import Resource

_ALWAYS: Mapping[str, Type] = {"asOf": "date", "birthDate": "date", "caseDate": "date"}
_INDEX: Mapping[str, Type] = {"indexDate": "date", "indexEnd": "moment"}
_DUE: Mapping[str, Type] = {"dueDate": "date", "due": "boolean"}
_OF_RULES: Mapping[str, Type] = {
    "rules": "integer", "rulesMet": "integer", "rulesNotMet": "integer",
}  # fmt: skip
_SCORE = "score"
"""The fact that is a score: computed as an integer, of millionths, and so read as a decimal."""
_UNDATED = ("patient", "case")
_ROLES: Mapping[str, Any] = {
    "outcome-fact": "fact",
    "outcome-attribute": "attribute",
    "outcome-case-mix-factor": "factor",
}
_KNOWN = {
    *_ROLES, "outcome-case", "outcome-rows", "outcome-index", "outcome-due", "outcome-rule",
    "outcome-class-rule",
}  # fmt: skip
_OBSERVATION = "measure-observation"


def read(measure: Resource, library: Resource) -> Definition:
    """Read a definition.

    Raises FhirError 422 that says what is unknown, missing or not in the subset, and where.
    """
    return _Reader(measure, library).definition()


class _Reader:
    def __init__(self, measure: Resource, library: Resource) -> None:
        self._measure = measure
        self._library = library
        self._facts: dict[str, Type] = dict(_ALWAYS)
        self._constants: dict[str, Constant] = {}
        self._rows: dict[str, Selection] = {}

    def definition(self) -> Definition:
        """Read all of it, in the order of the library's extensions."""
        case = self._case()
        steps = tuple(self._steps())
        require_baseline([step.id for step in steps if _is_factor(step)])
        rules = tuple(self._rule(entry) for entry in several(self._library, "outcome-rule"))
        self._facts |= _OF_RULES
        if self._facts.get(_SCORE) == "integer":
            self._facts[_SCORE] = "decimal"
        for rule in rules:
            self._name(rule.id, "text")
        class_rules = self._class_rules()
        self._facts["class"] = "text"
        populations, observation = self._populations()
        return Definition(
            measure=self._measure,
            library=self._library,
            case=case,
            steps=steps,
            rules=rules,
            class_rules=class_rules,
            populations=MappingProxyType(populations),
            observation=observation,
        )

    def _case(self) -> Selection:
        found = several(self._library, "outcome-case")
        if len(found) != 1:
            self._refuse("outcome-case", "a definition says once which cases it is about")
        return self._selection(parts(found[0]), "outcome-case")

    def _steps(self) -> Iterator[Step]:
        dues: list[Node] = []
        for entry in self._library.get("extension", []):
            name = entry["url"].removeprefix(EXTENSION)
            if entry["url"].startswith(EXTENSION) and name not in _KNOWN:
                self._refuse(name, f"it is none of {', '.join(sorted(_KNOWN))}")
            if name == "outcome-rows":
                self._named_rows(parts(entry))
            elif name == "outcome-index":
                yield self._index(parts(entry))
            elif name == "outcome-due":
                dues.append(self._day(entry["valueExpression"]["expression"], name))
                self._facts |= _DUE
            elif name in _ROLES:
                fact = self._fact(parts(entry), name)
                if fact is not None:
                    yield fact
            yield from self._due(dues, entry)

    def _due(self, dues: list[Node], entry: Resource) -> Iterator[Due]:
        """Yield what is due once, at the last of the two places in which it may stand."""
        last = several(self._library, "outcome-due")[-1:]
        if dues and last and entry is last[0]:
            if len(dues) > 2:  # noqa: PLR2004 - a date, and what decides where there is none
                self._refuse("outcome-due", "it stands once or twice")
            yield Due(dues[0], dues[1] if dues[1:] else None)

    def _day(self, text: str, where: str) -> Node:
        node = expression.read(text, self._scope(where))
        if node.type != "date":
            self._refuse(where, f"`{text}` is of type {node.type}, not date")
        return node

    def _index(self, part: dict[str, Any]) -> Index:
        index = Index(
            self._selection(part, "outcome-index"), part.get("title", "the index operation")
        )
        self._facts |= _INDEX
        return index

    def _named_rows(self, part: dict[str, Any]) -> None:
        name = self._part(part, "id", "outcome-rows")
        if name in self._rows or name in views():
            self._refuse("outcome-rows", f"the name `{name}` is taken")
        self._rows[name] = self._selection(part, f"outcome-rows {name}")

    def _selection(
        self, part: dict[str, Any], where: str, from_age: int | None = None
    ) -> Selection:
        name = self._part(part, "view", where)
        known = self._rows.get(name)
        if known is None and name not in views():
            names = ", ".join(sorted({*views(), *self._rows}))
            self._refuse(where, f"there is no view or outcome-rows `{name}`; there are: {names}")
        view = known.view if known else name
        given = part.get("where")
        conditions = [known.where if known else _reported(view)]
        if given is not None:
            scope = self._scope(where, view)
            conditions.append(expression.criteria(given["expression"], scope))
        if from_age is not None:
            conditions.append(_of_age(from_age))
        description = known.description if known else ""
        return Selection(view, _all(conditions), (given or {}).get("description", description))

    def _scope(self, where: str, view: str | None = None) -> expression.Scope:
        return expression.Scope(
            f"{self._library['id']}, {where}",
            {} if view is None else {each.name: each.type for each in views()[view].columns},
            self._facts,
            self._constants,
        )

    def _name(self, id: str, kind: Type) -> None:
        if id in self._facts or id in self._constants:
            self._refuse(id, "the name is taken by another fact or rule")
        self._facts[id] = kind

    def _fact(self, part: dict[str, Any], name: str) -> Taken | None:
        id = self._part(part, "id", name)
        where = f"{name} {id}"
        if ("expression" in part) == ("view" in part):
            self._refuse(where, "it has an `expression`, or a `view` with a `value`")
        fact = (
            self._computed(part, id, where)
            if "expression" in part
            else self._taken(part, id, where)
        )
        fact = replace(
            fact, title=part.get("title", ""), citation=part.get("citation", ""), role=_ROLES[name]
        )
        if isinstance(fact.expression, Constant) and name == "outcome-fact":
            self._constants[id] = fact.expression
            return None
        self._name(id, fact.type)
        return fact

    def _computed(self, part: dict[str, Any], id: str, where: str) -> Taken:
        node = expression.read(part["expression"]["expression"], self._scope(where))
        return Taken(id, "", "", node.type, None, None, None, None, node)

    def _taken(self, part: dict[str, Any], id: str, where: str) -> Taken:
        selection = self._selection(part, where)
        taken: Value = self._part(part, "value", where)
        if taken not in get_args(Value):
            self._refuse(where, f"the value `{taken}` is none of {', '.join(get_args(Value))}")
        columns = {each.name: each.type for each in views()[selection.view].columns}
        dating = taken in ("earliest", "latest", "earliest-moment", "latest-moment")
        of = part.get("of", "date" if dating else None)
        by = part.get("by", "date" if taken in ("first", "last") else None)
        for column in (of, by):
            if column is not None and column not in columns:
                self._refuse(where, f"view `{selection.view}` has no column `{column}`")
        if (of is None) != (taken in ("exists", "count")) and taken != "count":
            self._refuse(
                where, f"the value `{taken}` needs `of`, a column; exists and count do not"
            )
        kind = _type(taken, None if of is None else columns[of])
        if kind is None:
            self._refuse(where, f"the value `{taken}` cannot be taken of column `{of}`")
        unit = part.get("unit")
        if unit is not None and not _is_measured(kind, unit, view(selection.view), of):
            self._refuse(
                where, f"the unit `{unit}` cannot be that of the value `{taken}` of `{of}`"
            )
        return Taken(id, "", "", kind, taken, selection, of, by, None, unit=unit)

    def _rule(self, entry: Resource) -> Rule:
        part = parts(entry)
        id = self._part(part, "id", "outcome-rule")
        where = f"outcome-rule {id}"
        age = _months(part["minimumAge"]) if "minimumAge" in part else None
        date = part.get("date")
        if date is not None and self._facts.get(date) != "date":
            self._refuse(where, f"`date` names a fact that is a date; `{date}` is none")
        return Rule(
            id=id,
            title=self._part(part, "title", where),
            citation=self._part(part, "citation", where),
            minimum_age=age,
            met=self._evident(entry, "met", where, age),
            not_met=self._evident(entry, "notMet", where, age),
            missing=self._part(part, "missing", where),
            date=date,
        )

    def _evident(self, entry: Resource, name: str, where: str, age: int | None) -> Evident:
        given = [value(part) for part in entry["extension"] if part["url"] == name]
        if not given:
            self._refuse(where, f"it says nothing of `{name}`")
        if isinstance(given[0], dict):
            if len(given) > 1:
                self._refuse(where, f"`{name}` is one expression, or rows")
            node = expression.criteria(given[0]["expression"], self._scope(f"{where} {name}"))
            return Evident((), node, given[0].get("description", ""))
        selections = tuple(
            self._selection(parts({"extension": each}), f"{where} {name}", age) for each in given
        )
        return Evident(selections, None, selections[0].description)

    def _class_rules(self) -> tuple[ClassRule, ...]:
        found = []
        for entry in several(self._library, "outcome-class-rule"):
            part = parts(entry)
            where = f"outcome-class-rule {self._part(part, 'id', 'outcome-class-rule')}"
            text = self._part(part, "criteria", where)["expression"]
            criteria = expression.criteria(text, self._scope(where))
            found.append(
                ClassRule(
                    part["id"],
                    part["title"],
                    part["citation"],
                    part["class"]["code"],
                    criteria,
                    part.get("statement", f"{part['title']}."),
                )
            )
        scored = any(isinstance(name, str) for name in _scored(self._library))
        if not found and not scored:
            self._refuse("outcome-class-rule", "nothing says what class a child is of")
        if found and found[-1].criteria != Constant(True, "boolean"):
            self._refuse(
                "outcome-class-rule", "the last one's criteria are `true`: one always decides"
            )
        return tuple(found)

    def _populations(self) -> tuple[dict[str, Node], Node | None]:
        if len(self._measure.get("group", [])) != 1:
            self._refuse("Measure.group", "a measure has one group; further groups are measures")
        found: dict[str, Node] = {}
        observation = None
        for population in self._measure["group"][0]["population"]:
            code = population["code"]["coding"][0]["code"]
            text = population["criteria"]["expression"]
            if code != _OBSERVATION:
                found[code] = expression.criteria(text, self._scope(f"population {code}"))
                continue
            observation = expression.read(text, self._scope(f"population {code}"))
            if observation.type not in ("integer", "decimal"):
                self._refuse(f"population {code}", f"`{text}` is no number")
        return found, observation

    def _part(self, part: dict[str, Any], name: str, where: str) -> Any:
        if name not in part:
            self._refuse(where, f"it lacks `{name}`")
        return part[name]

    def _refuse(self, where: str, reason: str) -> NoReturn:
        message = f"{self._library['id']}, {where} is refused: {reason}."
        raise FhirError(422, [error("business-rule", message, "Library.extension")])


def _is_factor(step: Step) -> TypeGuard[Taken]:
    return isinstance(step, Taken) and step.role == "factor"


def _all(conditions: Iterable[Node | None]) -> Node | None:
    found = [each for each in conditions if each is not None]
    return reduce(_and, found) if found else None


def _and(left: Node, right: Node) -> Node:
    return Operation("and", (left, right), "boolean")


def _reported(view: str) -> Node | None:
    """Return that a row is not dated, or surely not after the date of the report."""
    if view in _UNDATED:
        return None
    undated = Operation("empty", (Column("date", "text"),), "boolean")
    in_time = Operation("<=", (Column("date", "date"), Fact("asOf", "date")), "boolean")
    return Operation("or", (undated, in_time), "boolean")


def _of_age(months: int) -> Node:
    """Return that a row is surely dated on the birthday of an age, or after."""
    age = Constant(months, "integer")
    birthday = Operation("add-months", (Fact("birthDate", "date"), age), "date")
    return Operation(">=", (Column("date", "date"), birthday), "boolean")


def _type(taken: Value, fhir_type: str | None) -> Type | None:
    """Return the type of a value of a column; None where the two do not go together."""
    if fhir_type is None or taken == "count":
        return "boolean" if taken == "exists" else "integer"
    kind = expression.column_type(fhir_type)
    if taken in ("earliest-moment", "latest-moment"):
        return "moment" if kind == "moment" else None
    if kind == "moment":
        kind = "date"
    if taken in ("earliest", "latest"):
        return "date" if kind == "date" else None
    if taken == "set":
        return {"date": "days", "text": "texts"}.get(kind)  # type: ignore[return-value]
    if taken in ("sum", "min", "max"):
        return kind if kind in ("integer", "decimal") else None
    return kind


def _is_measured(kind: Type, unit: str, read: View, of: str | None) -> bool:
    known = of is not None and staging.unit_of(read, of) is not None
    return kind == "decimal" and known and unit in staging.UNITS


def _scored(library: Resource) -> list[str]:
    return [parts(entry).get("id", "") for entry in several(library, "outcome-attribute")]


def _months(age: Resource) -> int:
    return int(age["value"]) * {"a": 12, "mo": 1}[age["code"]]
