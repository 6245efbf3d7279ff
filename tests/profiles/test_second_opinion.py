"""What is accepted here is accepted by another library, `fhir.resources`, too: of whatever can be made.

The other way round does not hold: it looks at no code, reference, invariant or profile.
"""

import re
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from profiles.validate import validate
from r4 import definitions
from r4.json import Resource, decode, encode
from tests.profiles.generated import TERMINOLOGY, resources
from tests.profiles.r4b import lost, model
from tests.profiles.spoilt import WAYS, spoilt

STATED = tomllib.loads((Path(__file__).parent / "second-opinion.toml").read_text())
QUIRKS = STATED["quirk"]
UNCHANGED = [name for name in definitions.resource_types() if name not in STATED["changed"]]
A_FEW, MANY = 8, 250
MADE_RIGHT = 0.85
"""The share of what is made that is accepted: less would judge little."""


def is_accepted(resource: Resource) -> bool:
    return not any(issue.is_error for issue in validate(resource, TERMINOLOGY))


def refusals(type_name: str, content: bytes) -> list[str]:
    """List what the library has against a resource, `place: what it says`, its known quirks aside."""
    try:
        model(type_name).model_validate_json(content)
    except ValidationError as refused:
        said = [(".".join(map(str, each["loc"])), each["msg"]) for each in refused.errors()]
    except Exception as failed:  # it fails on some of what it would refuse
        said = [("", repr(failed))]
    else:
        return []
    return [f"{place}: {text}" for place, text in said if not is_quirk(place, text)]


def is_quirk(place: str, said: str) -> bool:
    return any(quirk["said"] in said and re.search(quirk["place"], place) for quirk in QUIRKS)


def judged(type_name: str, many: int, *, derandomise: bool) -> Counter[str]:
    """Compare the two on resources of a type, right ones and spoilt ones; count what came out."""
    counted: Counter[str] = Counter()
    drawn = resources(type_name)

    def compare(way: str, resource: Resource) -> None:
        content = encode(resource)
        accepted = is_accepted(decode(content))
        refused = refusals(type_name, content)
        assert not (accepted and refused), (refused, content)
        counted[f"{way}: {'accepted' if accepted else 'refused'}"] += 1
        counted[f"{way}: refused by both"] += bool(refused)

    @settings(
        max_examples=many,
        derandomize=derandomise,
        database=None,
        deadline=None,
        print_blob=True,
        phases=[Phase.generate] if derandomise else [Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(drawn, st.data())
    def judge(resource: Resource, data: st.DataObject) -> None:
        compare("made", resource)
        ways, wrong = data.draw(spoilt(resource))
        compare(" and ".join(sorted(ways)), wrong)

    judge()
    return counted


def test_the_types_that_r4b_changed_are_told_by_comparing_every_element() -> None:
    missing = {name: lost(name) for name in definitions.resource_types()}
    changed = {
        name
        for name, elements in missing.items()
        if any(not is_quirk(element, "Extra inputs are not permitted") for element in elements)
    }
    assert changed == set(STATED["changed"])
    assert len(UNCHANGED) == 126


@pytest.mark.parametrize("quirk", QUIRKS, ids=[quirk["said"] for quirk in QUIRKS])
def test_a_quirk_refuses_what_is_right(quirk: dict[str, Any]) -> None:
    resource = decode(quirk["resource"].encode())
    assert is_accepted(resource)
    with pytest.raises(ValidationError, match=re.escape(quirk["said"])):
        model(resource["resourceType"]).model_validate_json(quirk["resource"])
    assert refusals(resource["resourceType"], quirk["resource"].encode()) == []


@pytest.fixture(scope="module")
def tally() -> dict[str, Counter[str]]:
    return {}


@pytest.mark.parametrize("type_name", UNCHANGED)
def test_what_is_accepted_here_is_accepted_there(
    type_name: str, tally: dict[str, Counter[str]]
) -> None:
    tally[type_name] = judged(type_name, A_FEW, derandomise=True)
    assert tally[type_name]["made: accepted"] >= 1


def test_what_was_judged_was_right_and_wrong_in_every_way(tally: dict[str, Counter[str]]) -> None:
    if set(tally) != set(UNCHANGED):
        pytest.skip("it counts what the tests before it have judged")
    counted = sum(tally.values(), Counter[str]())
    made = counted["made: accepted"] + counted["made: refused"]
    assert made >= len(UNCHANGED) * A_FEW
    assert counted["made: accepted"] / made >= MADE_RIGHT
    for way in WAYS:
        assert counted[f"{way}: refused by both"] > 10, way
    assert counted["drop: accepted"] > 10


@pytest.mark.slow
@pytest.mark.parametrize("type_name", UNCHANGED)
def test_so_is_what_is_accepted_of_many_more(type_name: str) -> None:
    assert judged(type_name, MANY, derandomise=False)["made: accepted"] > MANY / 10
