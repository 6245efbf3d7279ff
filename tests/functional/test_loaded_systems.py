"""What a loaded code system answers; every concept is fictitious."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import snomed_shaped
from fhir_server.store.concepts import hierarchy, reading
from fhir_server.store.concepts.reading import System
from fhir_server.store.concepts.releases import Systems
from terminology.loaders import rf2
from terminology.systems import SNOMED_CT
from tests.support.databases import KINDS as DATABASES
from tests.support.databases import new_database, opened
from tests.support.releases import load, release

MANY = 300


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, snomed_shaped.Shape]:
    folder = tmp_path_factory.mktemp("release")
    return folder, snomed_shaped.write(folder, MANY)


@pytest.fixture(scope="module", params=DATABASES)
def system(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    written: tuple[Path, snomed_shaped.Shape],
) -> Iterator[System]:
    where = new_database(request.param, tmp_path_factory.mktemp("database"))
    load(where, release(written[0]))
    with opened(where) as database:
        found = Systems(database).system(SNOMED_CT)
        assert found is not None
        yield found


def naive(parents: list[list[int]], place: int) -> set[int]:
    above: set[int] = set()
    waiting = list(parents[place])
    while waiting:
        each = waiting.pop()
        if each not in above:
            above.add(each)
            waiting += parents[each]
    return above


def test_each_codes_relation_to_each_other_is_that_of_a_naive_walk(
    system: System, written: tuple[Path, snomed_shaped.Shape]
) -> None:
    codes, parents = written[1]
    chance = random.Random(3)  # noqa: S311 - the same each time
    for below in chance.sample(range(MANY), 60):
        above = naive(parents, below)
        for other in range(MANY):
            expected = other in above or other == below
            assert system.subsumes(codes[other], codes[below]) == expected
        assert set(system.ancestors(codes[below])) == {codes[each] for each in above}
    for above_all in chance.sample(range(MANY), 20):
        expected_below = [n for n in range(MANY) if above_all in naive(parents, n)]
        found = list(system.descendants(codes[above_all]))
        assert sorted(found) == sorted(codes[n] for n in expected_below)
    assert not system.subsumes(codes[0], "no such code")
    assert list(system.descendants("no such code")) == list(system.ancestors("no such code")) == []


@given(st.data(), st.integers(1, 40))
def test_the_closure_of_any_hierarchy_is_that_of_a_naive_walk(
    data: st.DataObject, many: int
) -> None:
    order = data.draw(st.permutations(range(many)))
    above = [
        data.draw(st.lists(st.sampled_from(order[:place]), max_size=3)) if place else []
        for place in range(many)
    ]
    parents = [list[int]() for _ in range(many)]
    for place, listed in zip(order, above, strict=True):
        parents[place] = listed
    pairs = [(place, each) for place in range(many) for each in parents[place]]
    direct = hierarchy.lists(pairs, many)
    found = hierarchy.closure(direct, hierarchy.inverse(direct))
    assert [set(found.of(place)) for place in range(many)] == [
        naive(parents, place) for place in range(many)
    ]
    assert all(
        found.holds(below, each) == (each in naive(parents, below))
        for below in range(many)
        for each in range(many)
    )


def test_a_concept_has_its_terms_properties_and_replacement(
    system: System, written: tuple[Path, snomed_shaped.Shape]
) -> None:
    codes, parents = written[1]
    concept = system.concept(codes[7])
    assert concept is not None
    assert (concept.code, concept.is_active, concept.replaced_by) == (codes[7], True, [])
    assert concept.display == snomed_shaped.term(7)
    assert [each["value"] for each in concept.designations] == [
        snomed_shaped.term(7), f"{snomed_shaped.term(7)} (fictitious concept)",
        f"Other {snomed_shaped.term(7).lower()}",
    ]  # fmt: skip
    assert concept.designations[1]["use"] == {"system": SNOMED_CT, "code": rf2.FULLY_SPECIFIED}
    properties = list(concept.properties)
    assert ("moduleId", snomed_shaped.MODULE) in properties
    assert [code for name, code in properties if name == "parent"] == [codes[n] for n in parents[7]]
    assert {code for name, code in properties if name == "child"} == {
        codes[n] for n in range(MANY) if 7 in parents[n]
    }
    replaced = system.concept(codes[50])
    assert replaced is not None
    assert (replaced.is_active, replaced.replaced_by) == (False, [codes[49]])
    assert ("inactive", True) in replaced.properties
    assert system.concept("no such code") is None


def test_a_reference_set_has_its_members(
    system: System, written: tuple[Path, snomed_shaped.Shape]
) -> None:
    codes = written[1].codes
    held = [code for place, code in enumerate(codes) if not place % 20]
    assert list(system.members(snomed_shaped.REFSET)) == held
    assert [system.is_member(snomed_shaped.REFSET, code) for code in codes[:21]] == [
        not place % 20 for place in range(21)
    ]
    assert not system.is_member(snomed_shaped.REFSET, "no such code")
    assert not system.is_member("no such set", codes[0])
    assert list(system.members("no such set")) == []


def test_active_concepts_are_found_by_words_of_any_of_their_terms(
    system: System, written: tuple[Path, snomed_shaped.Shape]
) -> None:
    codes = written[1].codes

    def found(words: str, language: str | None = None, **options: Any) -> list[str]:
        asked = {"within": None, "offset": 0, "count": MANY, **options}
        listed, total = system.search(words, language, *asked.values())
        assert options or total == len(listed)
        return [concept.code for concept in listed]

    repairs = [codes[n] for n in range(1, MANY, 6) if n % 50]
    assert sorted(found("REPAIR")) == sorted(repairs)
    assert sorted(found("other rep")) == sorted(repairs)
    assert found("rep other") == []
    assert found("repair measurement") == []
    assert found("repair 7") == [codes[7], *[c for c in repairs if codes.index(c) in range(70, 80)]]
    assert found("repair", "en-GB") == found("repair", "en") == found("repair")
    assert found("repair", "fr") == []
    assert found("repair", within=lambda code: code == codes[13]) == [codes[13]]
    assert found("repair", offset=3, count=4) == found("repair")[3:7]
    assert found("") == [code for n, code in enumerate(codes) if n % 50 or not n]
    assert found("'\"*&|!:") == []
    listed, total = system.search("repair", None, None, 0, 2)
    assert ([each.display is not None for each in listed], total) == ([True, True], len(repairs))


def test_of_common_words_the_first_pages_are_found_without_counting_them_all(
    system: System, written: tuple[Path, snomed_shaped.Shape], monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = written[1].codes
    names = [
        (len(text), place, code)
        for place, code in enumerate(codes)
        for text in (f"Other {snomed_shaped.term(place)}", snomed_shaped.term(place))
        if place % 50 or not place
    ]
    ordered = list(dict.fromkeys(code for _, _, code in sorted(names)))
    held = {code for place, code in enumerate(codes) if not place % 9}
    every, total = system.search("o", None, None, 0, MANY)
    assert ([concept.code for concept in every], total) == (ordered, len(ordered))
    monkeypatch.setattr(reading, "_COUNTED", 10)
    monkeypatch.setattr(reading, "_FURTHER", 20)
    for within, expected in (
        (None, ordered),
        (held.__contains__, [c for c in ordered if c in held]),
    ):
        for offset in (0, 4, 30, len(expected) - 3):
            page, total = system.search("o", None, within, offset, 4)
            assert [concept.code for concept in page] == expected[offset : offset + 4]
            assert total == (None if offset + 4 <= len(expected) else len(expected))
    assert system.search("repair", "fr", None, 0, 4) == ([], 0)
