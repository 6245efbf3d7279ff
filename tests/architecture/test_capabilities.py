"""The CapabilityStatement says what the routes do, and nothing else; FHIR R4 §3.1.0.11."""

from typing import Any

import pytest

from fhir_server.app import context
from fhir_server.interactions.capabilities import capabilities
from fhir_server.rest.routes import TABLE
from fhir_server.settings import Settings
from fhir_server.store.search.parameters import parameters
from r4 import artefacts, definitions

SPECIAL = {"_id", "_lastUpdated"}
OF_THE_SYSTEM = {"transaction", "batch", "history-system", "search-system"}


@pytest.fixture(scope="module")
def rest(tmp_path_factory: pytest.TempPathFactory) -> Any:
    made = context(Settings(database=tmp_path_factory.mktemp("capabilities") / "csor.db"))
    try:
        return capabilities(made)["rest"][0]
    finally:
        made.database.close()


def routed(*, operations: bool) -> set[tuple[str, str]]:
    """Pair the type ("" for every type) with the code of each row, of operations or of the rest."""
    found = set()
    for row in TABLE:
        if row.code == "$bulk":  # the asynchronous pattern's own URLs are no interactions
            continue
        parts = row.path.strip("/").split("/")
        code = parts[-1].removeprefix("$") if parts[-1].startswith("$") else row.code
        kind = parts[0] if parts[0][:1].isupper() else ""
        if parts[-1].startswith("$") == operations:
            found.add((kind, code))
    return found


def test_the_interactions_are_those_of_the_route_table(rest: Any) -> None:
    stated = {code["code"] for code in rest["interaction"]}
    assert stated == OF_THE_SYSTEM
    elsewhere = {"capabilities", "search-compartment", *OF_THE_SYSTEM}
    of_types = {code for _, code in routed(operations=False)} - elsewhere
    for resource in rest["resource"]:
        assert {each["code"] for each in resource["interaction"]} == of_types


def test_a_conditional_update_is_stated_as_long_as_it_is_routed(rest: Any) -> None:
    routed_there = any(row.method == "PUT" and row.path == "/{type}" for row in TABLE)
    assert {each["conditionalUpdate"] for each in rest["resource"]} == {routed_there}
    deletes = any(row.method == "DELETE" and row.code != "$bulk" for row in TABLE)
    assert {each["conditionalDelete"] == "not-supported" for each in rest["resource"]} == {
        not deletes
    }


def test_the_operations_are_those_of_the_route_table(rest: Any) -> None:
    stated = {("", each["name"]) for each in rest["operation"]} | {
        (resource["type"], each["name"])
        for resource in rest["resource"]
        for each in resource.get("operation", [])
    }
    assert stated == routed(operations=True)


def test_every_type_is_there_with_the_search_parameters_that_are_served(rest: Any) -> None:
    stated = {
        resource["type"]: {each["name"]: each["type"] for each in resource["searchParam"]}
        for resource in rest["resource"]
    }
    assert set(stated) == set(definitions.resource_types())
    for kind, named in stated.items():
        served = {code: parameter.type for code, parameter in parameters(kind).items()}
        assert {name: type_ for name, type_ in named.items() if name not in SPECIAL} == served
        assert set(named) >= SPECIAL


def test_every_definition_of_an_operation_is_one_that_exists(rest: Any) -> None:
    ours = artefacts.by_url("profiles", "OperationDefinition")
    standard = set(definitions.urls("OperationDefinition"))
    for each in [
        *rest["operation"],
        *(operation for kind in rest["resource"] for operation in kind.get("operation", [])),
    ]:
        url = each["definition"]
        of_a_guide = url.startswith("http://hl7.org/fhir/uv/")
        assert of_a_guide or url in standard or url in ours, url
