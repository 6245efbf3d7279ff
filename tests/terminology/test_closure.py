"""Closure tables as values: https://hl7.org/fhir/R4/terminology-service.html#closure."""

from collections.abc import Iterable

from terminology import closure
from terminology.closure import Entry, Relation
from tests.terminology.fictitious import snomed_shaped

SYSTEM = snomed_shaped()


def above(_system: str, code: str) -> Iterable[str]:
    return SYSTEM.ancestors(code)


def test_a_table_grows_by_what_is_not_in_it_and_counts_its_versions() -> None:
    first, added = closure.extend((), [("s", "10"), ("s", "100"), ("s", "10")])
    assert first == added == (Entry(1, "s", "10"), Entry(1, "s", "100"))
    second, added = closure.extend(first, [("s", "100"), ("s", "1")])
    assert added == (Entry(2, "s", "1"),)
    assert second == first + added
    assert [closure.version(table) for table in ((), first, second)] == [0, 1, 2]


def test_nothing_new_leaves_a_table_as_it_is() -> None:
    table, _ = closure.extend((), [("s", "10")])
    assert closure.extend(table, [("s", "10")]) == (table, ())


def test_relations_are_between_the_codes_of_the_table() -> None:
    table, _ = closure.extend((), [("s", "10"), ("s", "100"), ("s", "110")])
    assert closure.relations(table, 0, above) == [Relation("s", "100", "10")]


def test_what_is_told_again_is_what_is_newer() -> None:
    table, _ = closure.extend((), [("s", "10"), ("s", "100")])
    table, _ = closure.extend(table, [("s", "1")])
    assert closure.relations(table, 1, above) == [
        Relation("s", "10", "1"),
        Relation("s", "100", "1"),
    ]
    assert closure.relations(table, 2, above) == []


def test_codes_of_different_systems_are_not_related() -> None:
    table, _ = closure.extend((), [("s", "10"), ("t", "100")])
    assert closure.relations(table, 0, above) == []
