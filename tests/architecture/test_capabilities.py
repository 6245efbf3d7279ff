"""The CapabilityStatement says what the routes do, and nothing else; FHIR R4 §3.1.0.11."""

from typing import Any

import pytest

from fhir_server.app import context
from fhir_server.interactions import audit_search
from fhir_server.interactions.capabilities import capabilities
from fhir_server.rest.routes import TABLE
from fhir_server.settings import Settings
from fhir_server.store.search.parameters import parameters
from profiles import Options, own, validate
from r4 import artefacts, definitions
from r4.definitions.catalogue import Catalogue
from r4.issue import Issue
from r4.json import Resource
from terminology import Terminology

BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
TOPIC = f"{BACKPORT}/capabilitystatement-subscriptiontopic-canonical"
AUDIT_EVENT = "AuditEvent"
SPECIAL = {"_id", "_lastUpdated"}
OF_THE_SYSTEM = {"transaction", "batch", "history-system", "search-system"}


@pytest.fixture(scope="module")
def statement(tmp_path_factory: pytest.TempPathFactory) -> Any:
    made = context(Settings(database=tmp_path_factory.mktemp("capabilities") / "csor.db"))
    try:
        return capabilities(made)
    finally:
        made.database.close()


@pytest.fixture(scope="module")
def rest(statement: Any) -> Any:
    return statement["rest"][0]


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


def written(rest: Any) -> list[Any]:
    """List the types that may be written: all but the events of the audit."""
    return [each for each in rest["resource"] if each["type"] != AUDIT_EVENT]


def test_the_interactions_are_those_of_the_route_table(rest: Any) -> None:
    stated = {code["code"] for code in rest["interaction"]}
    assert stated == OF_THE_SYSTEM
    elsewhere = {"capabilities", "smart-configuration", "search-compartment", *OF_THE_SYSTEM}
    of_types = {code for _, code in routed(operations=False)} - elsewhere
    for resource in written(rest):
        assert {each["code"] for each in resource["interaction"]} == of_types


def test_a_conditional_update_is_stated_as_long_as_it_is_routed(rest: Any) -> None:
    routed_there = any(row.method == "PUT" and row.path == "/{type}" for row in TABLE)
    assert {each["conditionalUpdate"] for each in written(rest)} == {routed_there}
    deletes = any(row.method == "DELETE" and row.code != "$bulk" for row in TABLE)
    assert {each["conditionalDelete"] == "not-supported" for each in written(rest)} == {not deletes}


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
        if kind == AUDIT_EVENT:
            assert set(named) == set(audit_search.PARAMETERS)
            continue
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


def test_every_definition_of_a_search_parameter_is_one_that_exists(rest: Any) -> None:
    standard = set(definitions.urls("SearchParameter"))
    ours = set(artefacts.by_url("profiles", "SearchParameter"))
    stated = {each["definition"] for kind in rest["resource"] for each in kind["searchParam"]}
    assert stated <= standard | ours
    assert ours <= stated


def test_each_profile_of_the_registry_and_what_it_imposes_is_supported_by_its_type(
    rest: Any,
) -> None:
    stated = {
        (kind["type"], url)
        for kind in rest["resource"]
        for url in kind.get("supportedProfile", [])
        if not url.startswith(BACKPORT)
    }
    of_r4 = {("Observation", f"{definitions.CORE}bodyweight")}
    assert stated == {(each["type"], each["url"]) for each in own.claimed()} | of_r4
    assert {each["profile"] for each in rest["resource"]} == {
        definitions.CORE + kind for kind in definitions.resource_types()
    }


def test_the_statement_is_valid(statement: Any) -> None:
    """Without an issue, where the guide is loaded that the one foreign extension is of."""
    assert {(issue.rule, TOPIC in issue.diagnostics) for issue in issues(statement)} == {
        ("extension-unknown", True)
    }
    extension = {
        "resourceType": "StructureDefinition",
        "url": TOPIC,
        "name": "Topic",
        "status": "active",
        "kind": "complex-type",
        "abstract": False,
        "context": [{"type": "element", "expression": "CapabilityStatement.rest.resource"}],
        "type": "Extension",
        "baseDefinition": f"{definitions.CORE}Extension",
        "derivation": "constraint",
        "differential": {"element": [{"id": "Extension", "path": "Extension"}]},
    }
    assert issues(statement, extension) == []


def issues(statement: Any, *loaded: Resource) -> list[Issue]:
    structures = Catalogue.of([*artefacts.load("profiles"), *loaded])
    options = Options(structures=structures)
    return validate(statement, Terminology.load(), now="2026-11-23T09:00:00Z", options=options)
