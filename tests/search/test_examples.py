"""Every example of the standard is found by each search parameter that indexes it.

SQL search is compared with a naive search over the same resources in memory, both ways.
"""

from collections import defaultdict
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest

from fhir_server.interactions import audit_events
from fhir_server.store.search.parameters import Parameter, parameters
from r4.json import Resource
from tests.profiles.corpus import examples
from tests.search import naive
from tests.search.conftest import Registry

Stored = dict[str, dict[str, Resource]]
MOST_QUESTIONS = 3
"""Questions asked about one resource and parameter."""


@pytest.fixture(scope="module")
def stored(registry: Registry) -> Stored:
    found: Stored = defaultdict(dict)
    for _, resource in examples():
        if "id" in resource and resource["id"] not in found[resource["resourceType"]]:
            found[resource["resourceType"]][resource["id"]] = resource
    for resources in found.values():
        registry.put(*resources.values())
    return found


def questions(resource: Resource, parameter: Parameter) -> Iterator[naive.Question]:
    found = naive.values(parameter.expression, resource)
    if parameter.type == "token":
        yield from islice(naive.coded(found, parameter.expression), 1)
    for number, question in enumerate(naive.QUESTIONS[parameter.type](found)):
        if number == MOST_QUESTIONS:
            return
        yield question


def test_sql_finds_what_a_naive_search_finds(registry: Registry, stored: Stored) -> None:
    wrong: list[str] = []
    asked: set[tuple[str, str, str]] = set()
    for kind, resources in stored.items():
        if kind == audit_events.TYPE:  # is searched by what the audit knows
            continue
        for parameter in parameters(kind).values():
            if parameter.type in ("composite", "special"):
                continue
            held = {i: naive.values(parameter.expression, r) for i, r in resources.items()}
            for resource in resources.values():
                for text, meets in questions(resource, parameter):
                    if (kind, parameter.code, text) not in asked:
                        asked.add((kind, parameter.code, text))
                        expected = {i for i, values in held.items() if meets(values)}
                        assert resource["id"] in expected or parameter.type == "date", text
                        wrong += differences(registry, kind, (parameter.code, text), expected)
    assert len(asked) > 3000
    assert not wrong, "\n".join(wrong[:40])


def differences(
    registry: Registry, kind: str, query: tuple[str, str], expected: set[str]
) -> Iterator[str]:
    bundle: Any = registry.bundle_of(kind, [query, ("_count", "1000"), ("_elements", "id")])
    found = {entry["resource"]["id"] for entry in bundle.get("entry", [])}
    if found != expected:
        yield f"{kind}?{query[0]}={query[1]}: missing {expected - found}, extra {found - expected}"
