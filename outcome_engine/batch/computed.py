"""Facts that a batch computes of a child's other facts, once they are there."""

from collections.abc import Callable
from dataclasses import dataclass

import ibis

from outcome_engine.definitions.values import Due
from outcome_engine.expressions.ibis import Scope, Value, compiled, index_day, index_end
from outcome_engine.expressions.syntax import Node, facts_of


@dataclass(frozen=True, slots=True)
class Computed:
    """A fact that is computed of others once they are there."""

    name: str
    needs: frozenset[str]
    value: Callable[[Scope], Value]


def of(name: str, node: Node) -> Computed:
    """Return how an expression over facts is computed."""
    return Computed(name, facts_of(node), lambda scope: compiled(node, scope))


def of_due(due: Due) -> list[Computed]:
    """Return how the due date and whether it is reached are computed."""
    needs = facts_of(due.date) | (facts_of(due.otherwise) if due.otherwise else frozenset())

    def reached(scope: Scope) -> Value:
        day = compiled(due.date, scope)
        if due.otherwise is not None:
            day = ibis.coalesce(day, compiled(due.otherwise, scope))
        return (day <= scope.facts["asOf"]).fill_null(False)

    return [of("dueDate", due.date), Computed("due", needs, reached)]


def of_index_event() -> list[Computed]:
    """Return how the day and the last moment of the index event are computed of `index`."""
    index = frozenset({"index"})
    return [Computed("indexDate", index, _index_day), Computed("indexEnd", index, _index_end)]


def _index_day(scope: Scope) -> Value:
    return index_day(scope.facts["index"])


def _index_end(scope: Scope) -> Value:
    return index_end(scope.facts["index"])
