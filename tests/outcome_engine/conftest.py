"""Real parts for the outcome engine's tests: the terminology, and the golden pairs' records."""

from collections.abc import Callable
from copy import deepcopy
from importlib.resources import files
from typing import Any

import pytest

import outcome_engine
from outcome_engine import ChildOutcome
from r4.json import Resource, decode
from terminology import Terminology

EXAMPLES = files("outcome_engine") / "examples" / "hirschsprung-core-outcome"
CORE = "https://csor.example/fhir/Measure/hirschsprung-core-outcome"

Record = list[Resource]


@pytest.fixture(scope="session")
def core() -> str:
    return CORE


@pytest.fixture(scope="session")
def terminology() -> Terminology:
    return Terminology.load()


@pytest.fixture(scope="session")
def record() -> Callable[[str], Record]:
    """Give the record of a golden pair, free to change."""

    def of(name: str) -> Record:
        bundle = decode((EXAMPLES / f"{name}.bundle.json").read_bytes())
        return deepcopy([entry["resource"] for entry in bundle["entry"]])

    return of


@pytest.fixture(scope="session")
def assess(terminology: Terminology) -> Callable[..., ChildOutcome]:
    def of(resources: Record, as_of: str = "2024-06-30") -> ChildOutcome:
        return outcome_engine.assess(CORE, resources, as_of, terminology)

    return of


@pytest.fixture
def change() -> Callable[..., Record]:
    """Change one resource of a record, by its id; a value of None removes the element."""

    def of(resources: Record, id: str, **elements: Any) -> Record:
        for resource in resources:
            if resource["id"] == id:
                resource.update(elements)
                for name in [name for name, value in elements.items() if value is None]:
                    del resource[name]
        return resources

    return of
