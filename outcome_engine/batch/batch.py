"""Many children's outcomes as one Ibis expression: the same values as `assess`, on any back end.

Staged rows come as one table a view. Facts and rules are computed in as few passes over them as
their order allows: one grouping of a view's rows by child for all that can be read at once.
"""

from collections.abc import Callable, Mapping
from typing import Any

import ibis

from outcome_engine import civil
from outcome_engine.assessment.record import full_day
from outcome_engine.batch.aggregates import (
    Part,
    default,
    grouped,
    of_fact,
    of_index,
    of_rules,
    single,
    with_facts_apart,
)
from outcome_engine.batch.cases import first_cases, only_patients
from outcome_engine.batch.columns import names
from outcome_engine.batch.computed import Computed, of, of_due, of_index_event
from outcome_engine.definitions.definition import definition, outline
from outcome_engine.definitions.values import Definition, Due, Index, Rule
from outcome_engine.expressions.ibis import (
    Membership,
    Scope,
    Value,
    compiled,
    iso,
    literal,
    nothing,
)
from outcome_engine.expressions.syntax import Constant, Member, Node, members_of
from outcome_engine.parameter_files.parameter_file import ParameterFile
from terminology import Terminology

Table = Any
"""An ibis.Table."""

Tables = Mapping[str, Table]
"""Staged rows by the id of their view, with the columns of `staging.columns`."""

ibis.options.sql.fuse_selects = False
# Fused, every fact would be written out again wherever it is read: a megabyte of SQL.

Keep = Callable[[Table], Table]
"""Of a table, the same to read from."""

_LAST = "~"
"""What sorts after every date."""


def as_it_is(table: Table) -> Table:
    """Hold nothing: the back end keeps what is read several times, as DuckDB does."""
    return table


def memberships(
    tables: Tables,
    measure_url: str,
    terminology: Terminology,
    file: ParameterFile[Any] | None = None,
) -> Mapping[str, Membership]:
    """Tell of every coding that occurs whether it is in the value sets that a measure names.

    file: the measure's parameters, where it needs them. Runs one query for each column of codings
    that is asked about. Raises FhirError like `definition`.
    """
    rules = definition(measure_url, file)
    asked: dict[tuple[str, str], set[str]] = {}
    for selection in rules.selections:
        for member in _members(selection.where):
            asked.setdefault((selection.view, member.column), set()).add(member.value_set)
    found: dict[str, dict[bool | None, dict[str | None, set[str]]]] = {}
    for (view, column), value_sets in asked.items():
        for system, code in _codings(tables[view], column):
            for url in value_sets:
                verdict = terminology.validate_code(url, system, code)
                found.setdefault(url, {}).setdefault(verdict, {}).setdefault(system, set()).add(
                    code
                )
    urls = {url for value_sets in asked.values() for url in value_sets}
    return {url: _membership(found.get(url, {})) for url in sorted(urls)}


def outcomes(
    tables: Tables,
    measure_url: str,
    as_of: str,
    memberships: Mapping[str, Membership],
    file: ParameterFile[Any] | None = None,
    keep: Keep = as_it_is,
) -> Table:
    """Return a table of outcomes, one row for each child that `assess` would not refuse.

    file: the measure's parameters (`Parameters.of`), where it needs them; without, no score is known.
    keep: what holds a table between two passes, on a back end that would compute it anew wherever it
    is read (Spark: `spark.keep`). Columns: see `columns.names`. as_of is a full date.
    Raises FhirError like `assess`.
    """
    rules = definition(measure_url, file)
    work = _Work(rules, tables, civil.day_of(full_day(as_of)), memberships, keep)
    work.compute()
    return work.outcomes()


def not_assessable(
    tables: Tables, measure_url: str, memberships: Mapping[str, Membership]
) -> Table:
    """Return the children with a case that `assess` refuses: child, case_id, case_date, hospital, reason."""
    rules = outline(measure_url)
    cases = first_cases(rules, tables, Scope(tables["case"], {}, memberships))
    found = cases.left_join(only_patients(tables), "child")
    patients = found.patients.fill_null(0)
    several = literal("A child's record has one active Patient; this one has ", "text")
    undated = literal(
        f"The record holds no case (EpisodeOfCare) of measure `{rules.canonical}` "
        "whose period.start is known to the day.",
        "text",
    )
    reason = ibis.ifelse(patients == 1, undated, several + patients.cast("string") + ".")
    wrong = found.mutate(reason=reason).filter((patients != 1) | found.case_day.isnull())
    return wrong.select("child", "case_id", "case_date", "hospital", "reason")


def _members(node: Node | None) -> frozenset[Member]:
    return frozenset() if node is None else members_of(node)


def _codings(table: Table, column: str) -> list[tuple[str | None, str]]:
    system, code = table[f"{column}_system"], table[f"{column}_code"]
    found = table.filter(code.notnull()).select(system=system, code=code).distinct()
    return [(row["system"], row["code"]) for row in found.to_pyarrow().to_pylist()]


def _membership(found: Mapping[bool | None, Mapping[str | None, set[str]]]) -> Membership:
    members, unknown = (
        {system: frozenset(codes) for system, codes in found.get(verdict, {}).items()}
        for verdict in (True, None)
    )
    return Membership(members, unknown)


class _Work:
    """A table with a row for each child, which gains a column with every fact."""

    def __init__(
        self,
        rules: Definition,
        tables: Tables,
        as_of: int,
        known: Mapping[str, Membership],
        keep: Keep,
    ) -> None:
        self._rules = rules
        self._keep = keep
        self._tables = tables
        self._known = known
        self._as_of = literal(as_of, "date")
        cases = first_cases(rules, tables, Scope(tables["case"], {"asOf": self._as_of}, known))
        patients = only_patients(tables)
        patients = patients.filter(patients.patients == 1).drop("patients")
        cases = cases.filter(cases.case_day.notnull())
        self._children = keep(cases.inner_join(patients, "child"))
        self._columns = {"birthDate": "born", "caseDate": "case_day"}

    def compute(self) -> None:
        """Compute every fact and rule, each as soon as what it reads is there."""
        computed, parts = self._pending()
        while computed or parts:
            ready = [each for each in computed if self._has(each.needs)]
            scope = self._scope()
            self._add({each.name: each.value(scope) for each in ready})
            computed = [each for each in computed if each not in ready]
            if not ready:
                now = [part for part in parts if self._has(part.needs)]
                if not now and parts:
                    raise ValueError([part.name for part in parts])
                self._read(now)
                self._children = self._keep(self._children)
                parts = [part for part in parts if part not in now]

    def outcomes(self) -> Table:
        """Return the outcomes of what was computed."""
        rules = self._rules
        self._add({rule.id: self._status(rule) for rule in rules.rules})
        self._add(
            {
                "rules": literal(len(rules.rules), "integer"),
                "rulesMet": self._counted("met"),
                "rulesNotMet": self._counted("not-met"),
            }
        )
        self._add(
            {
                "class": self._chosen({step.id: step.outcome_class for step in rules.class_rules}),
                "step": self._chosen({step.id: step.id for step in rules.class_rules}),
            }
        )
        return self._children.select(**self._shown()).select(*names(rules))

    def _pending(self) -> tuple[list[Computed], list[Part]]:
        computed: list[Computed] = []
        parts: list[Part] = []
        for step in self._rules.steps:
            if isinstance(step, Index):
                parts.append(of_index(step))
                computed += of_index_event()
            elif isinstance(step, Due):
                computed += of_due(step)
            elif step.expression is not None:
                computed.append(of(step.id, step.expression))
            else:
                parts.append(of_fact(step))
        for rule in self._rules.rules:
            parts += of_rules(rule)
        apart: dict[Node, str] = {}
        parts = [
            with_facts_apart(part, lambda node: apart.setdefault(node, f"of facts {len(apart)}"))
            for part in parts
        ]
        computed += [of(name, node) for node, name in apart.items()]
        return computed, parts

    def _has(self, needs: frozenset[str]) -> bool:
        return needs <= {"asOf", *self._columns}

    def _scope(self) -> Scope:
        facts = {name: self._children[column] for name, column in self._columns.items()}
        return Scope(None, {"asOf": self._as_of, **facts}, self._known)

    def _fact(self, name: str) -> Value:
        return self._children[self._columns[name]]

    def _add(self, values: Mapping[str, Value]) -> None:
        if values:
            columns = {name: f"f{len(self._columns) + i}" for i, name in enumerate(values)}
            self._children = self._children.mutate(
                **{columns[name]: value for name, value in values.items()}
            )
            self._columns |= columns

    def _counted(self, status: str) -> Value:
        found = [(self._fact(rule.id) == status).cast("int64") for rule in self._rules.rules]
        return sum(found, literal(0, "integer"))

    def _read(self, parts: list[Part]) -> None:
        """Read parts from the rows of their views, and join what each child has."""
        for view in dict.fromkeys(part.selection.view for part in parts):
            of_view = [part for part in parts if part.selection.view == view]
            scope = self._row_scope(view, of_view)
            together = [part for part in of_view if part.aggregate is not None]
            if together:
                self._join(together, grouped(together, scope))
            for part in of_view:
                if part.aggregate is None:
                    self._join([part], single(part, scope))

    def _row_scope(self, view: str, parts: list[Part]) -> Scope:
        rows = self._tables[view]
        needed = sorted(frozenset().union(*(part.needs for part in parts)) - {"asOf"})
        columns = {name: self._columns[name] for name in needed}
        if columns:
            facts = self._children.select("child", *dict.fromkeys(columns.values()))
            rows = rows.inner_join(facts, "child")
        facts = {name: rows[column] for name, column in columns.items()}
        return Scope(rows, {"asOf": self._as_of, **facts}, self._known)

    def _join(self, parts: list[Part], found: Table) -> None:
        columns = {part.name: f"f{len(self._columns) + place}" for place, part in enumerate(parts)}
        found = found.select("child", **{columns[part.name]: found[part.name] for part in parts})
        joined = self._children.left_join(found, "child")
        joined = joined.drop("child_right") if "child_right" in joined.columns else joined
        filled = {
            columns[part.name]: joined[columns[part.name]].fill_null(default(part))
            for part in parts
            if default(part) is not None
        }
        self._children = joined.mutate(**filled) if filled else joined
        self._columns |= columns

    def _status(self, rule: Rule) -> Value:
        due = self._fact("due") if "due" in self._columns else literal(True, "boolean")
        return ibis.cases(
            (self._is(rule, "met"), "met"),
            (self._is(rule, "not-met"), "not-met"),
            (due, "unknown"),
            else_="not-due",
        )

    def _is(self, rule: Rule, side: str) -> Value:
        evident = rule.met if side == "met" else rule.not_met
        if evident.expression is not None:
            return compiled(evident.expression, self._scope()).fill_null(False)
        found = [self._fact(f"{rule.id} {side} {i}") for i in range(len(evident.selections))]
        return found[0] if len(found) == 1 else ibis.or_(*found)

    def _chosen(self, results: Mapping[str, str]) -> Value:
        scope = self._scope()
        steps = self._rules.class_rules
        branches = [
            (compiled(step.criteria, scope).fill_null(False), literal(results[step.id], "text"))
            for step in steps
            if step.criteria != Constant(True, "boolean")
        ]
        always = literal(results[steps[-1].id], "text")
        return ibis.cases(*branches, else_=always) if branches else always

    def _shown(self) -> dict[str, Value]:
        children, rules = self._children, self._rules
        due = self._fact("due") if rules.due else literal(True, "boolean")
        shown = {
            "child": children.child,
            "patient": children.patient,
            "case_id": children.case_id,
            "hospital": children.hospital,
            "condition": children.condition,
            "case_date": children.case_date,
            "case_day": children.case_day,
            "index_day": self._fact("indexDate") if rules.index else nothing("date"),
            "due": due,
            "due_day": self._fact("dueDate") if rules.due else nothing("date"),
            "class": self._fact("class"),
            "reason": self._reason(due),
            "decided_by": self._decided_by(),
            "score": self._fact("score") if self._scored() else nothing("decimal"),
        }
        scope = self._scope()
        if rules.observation is not None:
            shown["value"] = compiled(rules.observation, scope)
        shown |= {f"status_{rule.id}": self._fact(rule.id) for rule in rules.rules}
        for fact in rules.facts:
            if fact.role != "fact":
                shown[f"{fact.role}_{fact.id}"] = self._fact(fact.id)
        for code, criteria in rules.populations.items():
            shown[f"in_{code}"] = compiled(criteria, scope).fill_null(False)
        return shown

    def _scored(self) -> bool:
        return "score" in self._columns

    def _reason(self, due: Value) -> Value:
        by_score = []
        if self._scored():
            known, good = self._fact("score").notnull(), self._fact("score-good")
            by_score = [(known & good, "score-reaches-cut"), (known, "score-below-cut")]
        return ibis.cases(
            *by_score,
            (self._fact("class") == "bad", "adverse-outcome"),
            (self._fact("class") == "good", "every-outcome-known"),
            (due, "information-missing"),
            else_="not-yet-due",
        )

    def _decided_by(self) -> Value:
        """Return the earliest adverse rule that is met, of a bad outcome; else the step that decided."""
        rules = self._rules.adverse
        if not rules:
            return self._fact("step")
        keys = [
            ibis.ifelse(self._fact(rule.id) == "met", self._dated(rule), _LAST * 2)
            for rule in rules
        ]
        least = ibis.least(*keys) if len(keys) > 1 else keys[0]
        branches = [(key == least, rule.id) for key, rule in zip(keys, rules, strict=True)]
        is_met = ibis.or_(*(self._fact(rule.id) == "met" for rule in rules))
        by_rule = (self._fact("class") == "bad") & is_met
        return ibis.ifelse(by_rule, ibis.cases(*branches), self._fact("step"))

    def _dated(self, rule: Rule) -> Value:
        if rule.date is not None:
            return iso(self._fact(rule.date)).fill_null(_LAST)
        if rule.met.expression is not None:
            return literal(_LAST, "text")
        dates = [
            self._fact(f"{rule.id} date {i}").fill_null(_LAST)
            for i in range(len(rule.met.selections))
        ]
        return ibis.least(*dates) if len(dates) > 1 else dates[0]
