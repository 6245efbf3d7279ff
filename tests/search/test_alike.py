"""Patients told of alike are found whichever of birth date and names many others have too."""

import pytest

from fhir_server.store.alike import alike
from r4.issue import FhirError
from r4.json import Resource
from tests.search.conftest import Registry

BORN, FAMILY, GIVEN = "2020-01-02", "Testchild-Wren", "Ann"
MANY = 300
"""More than are counted of any one condition."""


def patient(key: str, born: str = BORN, family: str = FAMILY, given: str = GIVEN) -> Resource:
    name = {"family": family, "given": [given, "Bea"]}
    return {"resourceType": "Patient", "id": key, "birthDate": born, "name": [name]}


def found(registry: Registry, born: str, family: str, given: str, most: int = 20) -> list[str]:
    names = (("family", family), ("given", given))
    return [each.id for each in alike(registry.context.database, born, names, most)]


@pytest.fixture(scope="module", autouse=True)
def _patients(registry: Registry) -> None:
    said = [
        (f"{name}-{each}", told) for each in range(MANY) for name, told in _common(each).items()
    ]
    registry.put(*(patient(key, *told) for key, told in said))
    registry.put(patient("first"), patient("second", family="TESTCHILD-WREN"))
    registry.put(patient("gone"), patient("renamed"))
    registry.put(patient("gone"), deleted=True)
    registry.put(patient("renamed", family="Testchild-Finch"))


def _common(each: int) -> dict[str, tuple[str, str, str]]:
    """Say, of one of many, two of three things as the others of its kind do."""
    return {
        "born": ("2021-05-05", f"Testchild-{each}", "Cleo"),
        "family": (f"2019-01-{each % 27 + 1:02}", "Testchild-Owl", f"Dora{each}"),
        "given": ("2022-02-02", "Testchild-Tit", f"Eve{each}"),
    }


def test_case_and_spaces_aside_the_newest_come_first(registry: Registry) -> None:
    assert found(registry, BORN, "testchild-wren ", "ann") == ["second", "first"]
    assert found(registry, BORN, FAMILY, GIVEN, most=1) == ["second"]


@pytest.mark.parametrize(
    ("said", "key"),
    [
        (("2021-05-05", "Testchild-7", "Cleo"), "born-7"),
        (("2019-01-08", "Testchild-Owl", "Dora7"), "family-7"),
        (("2022-02-02", "Testchild-Tit", "Eve299"), "given-299"),
    ],
)
def test_what_many_have_in_common_hides_nobody(
    registry: Registry, said: tuple[str, str, str], key: str
) -> None:
    assert found(registry, *said) == [key]


@pytest.mark.parametrize(
    "said",
    [
        ("2020-01-03", FAMILY, GIVEN),
        (BORN, "Testchild", GIVEN),
        (BORN, "Testchild-Finch", "Dora7"),
        ("2021-05-05", "Testchild-Owl", "Cleo"),
    ],
    ids=["another day", "a shorter name", "names of two", "family of others"],
)
def test_all_of_it_has_to_be_told(registry: Registry, said: tuple[str, str, str]) -> None:
    assert found(registry, *said) == []


def test_where_all_of_it_is_told_very_often_the_newest_are_looked_at(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many children bear one name and birth date, a new one costs no more than these."""
    told = ("2023-03-03", "Testchild-Gull", "Fay")
    registry.put(*(patient(f"gull-{each}", *told) for each in range(12)))
    registry.put(patient("gull-11", *told[:2], "Gwen"))
    every = [f"gull-{each}" for each in reversed(range(11))]
    assert found(registry, *told) == every
    monkeypatch.setattr("fhir_server.store.alike._FEW", 5)
    assert found(registry, *told) == every
    monkeypatch.setattr("fhir_server.store.alike._MOST", 10)
    assert found(registry, *told) == every[:8], "beside both versions of the renamed one"


def test_a_text_that_is_no_date_is_refused(registry: Registry) -> None:
    with pytest.raises(FhirError) as refusal:
        found(registry, "soon", FAMILY, GIVEN)
    assert refusal.value.status == 400
