"""Queries of SMART scopes: which there may be, and which of them a token has.

https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html#finer-grained-resource-constraints-using-search-parameters
"""

import pytest

from fhir_server.access import app_scopes, scopes

MINE = (
    "system/Observation.cruds"
    "?category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory"
)


@pytest.mark.parametrize(
    "scope",
    [
        MINE,
        "system/Observation.rs?category=laboratory,vital-signs",
        "system/Observation.rs?category=laboratory&status=final",
        "system/Observation.rs?date=ge2024-01-01",
        "system/Observation.rs?subject=Patient/1",
        "system/Patient.rs?family=wren",
        "system/Condition.s?_security=http://terminology.hl7.org/CodeSystem/v3-Confidentiality|N",
    ],
)
def test_a_query_of_what_one_resource_decides_is_a_scope(scope: str) -> None:
    assert scopes.registered(scope) == (scope,)
    assert str(scopes.parse(scope)) == scope


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("", "is no query"),
        ("category", "is no query"),
        ("category=", "category has an empty value"),
        ("category=a,", "category has an empty value"),
        ("colour=red", "colour is not supported here"),
        ("value-quantity=5", "value-quantity is a quantity"),
        ("code-value-quantity=a$5", "code-value-quantity is a composite"),
        ("code:in=http://a.example", "code:in: a scope's query has no modifiers"),
        ("status:not=final", "status:not: a scope's query has no modifiers"),
        ("subject.name=wren", "subject.name: a scope's query has no modifiers, chains"),
        ("subject:Patient.name=wren", "has no modifiers, chains"),
        ("_has:Provenance:target:agent=1", "chains or _has"),
        ("_include=Observation:subject", "_include is not supported here"),
        ("_sort=date", "_sort is not supported here"),
        ("_count=1", "_count is not supported here"),
        ("_filter=status%20eq%20final", "_filter is not supported here"),
        ("_id=1", "_id is not supported here"),
        ("_lastUpdated=2024", "_lastUpdated is not supported here"),
        ("_list=1", "_list is not supported here"),
        ("date=yesterday", "is not a FHIR date"),
        ("date=ap2024", "prefix ap is not supported"),
        ('code="a"', "is not URL-encoded"),
        ("&".join(["status=final"] * 11), "at most 10 parameters"),
        ("code=" + ",".join("a" * 21), "at most 20 values"),
        ("code=" + "a" * 700, "at most 700 characters"),
    ],
)
def test_any_other_query_is_refused_by_name(query: str, reason: str) -> None:
    for parse, whose in ((scopes.registered, "system"), (app_scopes.registered, "user")):
        with pytest.raises(ValueError, match=r"Observation\.rs") as said:
            parse(f"{whose}/Observation.rs?{query}")
        assert reason in str(said.value)


def test_neither_every_type_nor_the_audit_has_a_query() -> None:
    with pytest.raises(ValueError, match="a query is of one type"):
        scopes.registered("system/*.rs?status=final")
    with pytest.raises(ValueError, match="AuditEvent is not stored"):
        scopes.registered("system/AuditEvent.rs?date=2024")
    many = " ".join(f"system/Observation.rs?code={each}" for each in range(11))
    with pytest.raises(ValueError, match="at most 10 scopes"):
        scopes.registered(many)


A, AB = "system/Observation.rs?category=a", "system/Observation.rs?category=a,b"


@pytest.mark.parametrize(
    ("held", "asked", "given"),
    [
        ("system/Observation.rs", A, A),
        ("system/*.cruds", A, A),
        (A, "system/Observation.rs", A),
        (A, "system/*.cruds", A),
        (A, A, A),
        (AB, A, A),
        (A, AB, A),
        (A, f"{A}&status=final", f"{A}&status=final"),
        (A, "system/Observation.r?category=a", "system/Observation.r?category=a"),
        (A, "system/Observation.rs?category=b", None),
        (A, "system/Condition.rs?category=a", None),
        (A, "system/Observation.d?category=a", None),
        (f"{A} system/Observation.s", "system/Observation.rs", f"{A} system/Observation.s"),
    ],
)
def test_a_token_has_what_is_granted_and_asked_for(
    held: str, asked: str, given: str | None
) -> None:
    if given is None:
        with pytest.raises(ValueError, match="Nothing of this is granted"):
            scopes.granted(tuple(held.split()), asked)
        return
    assert scopes.granted(tuple(held.split()), asked) == tuple(given.split())
    app = (tuple(each.replace("system", "user").split()) for each in (held, given))
    mine, wanted = app
    if "cruds" not in held:
        assert app_scopes.granted(mine, asked.replace("system", "user")) == wanted


def test_a_person_is_told_what_an_app_asks_for() -> None:
    said = app_scopes.in_words("patient/Observation.rs?category=a%7Cb", "of the child")
    assert said == "read and search Observation of the child, where category=a|b"
