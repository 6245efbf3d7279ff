"""What an analyst reads and finds: every child, and of none who it is."""

from typing import Any

import pytest

from tests.support.analysts import OPCS, SNOMED, Registry, clock


def of(registry: Registry, kind: str) -> list[dict[str, Any]]:
    found = registry.found(f"/{kind}?_count=5")
    assert found
    return found


def test_a_token_is_read_back_and_every_reference_leads_to_one(registry: Registry) -> None:
    for kind in ("Patient", "Encounter", "Procedure", "Observation", "Condition", "Organization"):
        for each in of(registry, kind):
            assert registry.get(f"/{kind}/{each['id']}").json() == each
    for each in of(registry, "Procedure"):
        visit = registry.get(f"/{each['encounter']['reference']}").json()
        assert visit["subject"] == each["subject"]
        assert registry.get(f"/{visit['serviceProvider']['reference']}").status_code == 200


def test_every_child_is_found_once_whatever_the_size_of_a_page(registry: Registry) -> None:
    whole = [each["id"] for each in registry.found("/Patient")]
    assert len(set(whole)) == len(whole) == len(registry.children)
    assert [each["id"] for each in registry.found("/Patient?_count=1")] == whole
    assert whole == sorted(whole)  # by token: not as they were stored


def test_what_stays_of_a_child(registry: Registry) -> None:
    for each in of(registry, "Patient"):
        assert set(each) == {
            "resourceType", "id", "meta", "active", "gender", "birthDate", "address"
        }  # fmt: skip
        assert len(each["birthDate"]) == len("2018-01")
        (address,) = each["address"]
        assert address["postalCode"].startswith("LS")
        assert " " not in address["postalCode"]
        assert each["meta"]["security"][0]["code"] == "PSEUDED"


def test_intervals_within_a_child_are_as_they_were(registry: Registry) -> None:
    """By the sets of a child's intervals, which tell children apart here."""
    before = sorted(_intervals(each.resources) for each in registry.children)
    after = []
    for patient in of(registry, "Patient"):
        token = patient["id"]
        kinds = ("Encounter", "Procedure", "Observation", "Condition")
        after.append(
            _intervals([e for k in kinds for e in registry.found(f"/{k}?patient={token}")])
        )
    assert sorted(after) == before


def _intervals(resources: list[dict[str, Any]]) -> list[float]:
    moments = []
    for each in resources:
        period = each.get("period", {})
        named = (each.get(key) for key in ("performedDateTime", "effectiveDateTime"))
        moments += [
            clock(text) for text in (*named, period.get("start"), period.get("end")) if text
        ]
    first = min(moments)
    return sorted((each - first).total_seconds() for each in moments)


def test_a_code_that_is_shown_finds_what_it_codes(registry: Registry) -> None:
    codes = [
        coding["code"]
        for child in registry.children
        for each in child.resources
        if each["resourceType"] == "Procedure"
        for coding in each["code"]["coding"][:1]
    ]
    found = registry.found(f"/Procedure?code={OPCS}|H01.1")
    assert len(found) == codes.count("H01.1") > 0
    assert all(each["code"]["coding"] == [{"system": OPCS, "code": "H01.1"}] for each in found)
    both = registry.found(f"/Procedure?code={OPCS}|H01.1,{OPCS}|G45.1")
    assert len(both) == len(codes)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("Patient?name=a", "may not search"), ("Patient?family=a", "may not search"),
        ("Patient?identifier=a", "may not search"), ("Patient?address-postalcode=a", "may not search"),
        ("Patient?telecom=a", "may not search"), ("Patient?birthdate=2018-01-01", "Dates are shifted"),
        ("Patient?death-date=ge2018", "Dates are shifted"), ("Patient?_lastUpdated=ge2018", "Dates are"),
        ("Encounter?date=2018", "Dates are shifted"), ("Observation?value-date=2018", "Dates are shifted"),
        ("Patient?_text=a", "may not search"), ("Patient?_content=a", "may not search"),
        ("Patient?_filter=name eq a", "may not search"), ("Patient?_list=a", "may not search"),
        ("Patient?_has:Observation:patient:code=a", "may not search"),
        ("Observation?patient.name=a", "may not search"), ("Observation?patient:Patient.name=a", "may not"),
        ("Observation?code:text=a", "may not search"), ("Observation?code:in=a", "may not search"),
        ("Observation?subject:identifier=a|b", "may not search"), ("Observation?identifier=a", "may not"),
        ("Observation?performer=a", "may not search"), ("Observation?value-string=a", "may not search"),
        ("Observation?patient:missing=true", "may not search"), ("Patient?gender:not=male", "may not"),
        ("Patient?_sort=birthdate", "may not search"), ("Patient?_sort=_lastUpdated", "may not search"),
        ("Patient?_total=accurate", "may not search"), ("Patient?_summary=count", "may not search"),
        ("Patient?_elements=name", "may not search"), ("Patient?_include=Patient:link", "may not search"),
        ("Patient?_revinclude=Observation:subject", "may not search"), ("Patient?_tag=a", "may not"),
        ("Observation?_sort=date", "may not search"), ("Patient?nonsense-here=a", "search Patient by this"),
    ],
)  # fmt: skip
def test_what_could_identify_or_probe_is_refused_by_name(
    registry: Registry, query: str, said: str
) -> None:
    answer = registry.get(f"/{query}")
    assert answer.status_code == 403, answer.text
    assert said in answer.text


def test_what_is_not_shown_cannot_be_probed_for(registry: Registry) -> None:
    child = registry.children[0]
    procedure = next(e for e in child.resources if e["resourceType"] == "Procedure")
    local = procedure["code"]["coding"][1]
    for value in (
        local["code"],
        f"{local['system']}|{local['code']}",
        f"|{local['code']}",
        f"{OPCS}|",
    ):
        assert registry.get("/Procedure", params={"code": value}).status_code == 400
    for name, value in (
        ("patient", child.patient["id"]), ("patient", f"Patient/{child.patient['id']}"),
        ("encounter", procedure["encounter"]["reference"]), ("_id", procedure["id"]),
    ):  # fmt: skip
        answer = registry.get("/Procedure", params={name: value})
        assert answer.status_code == 200
        assert "entry" not in answer.json()


def test_an_answer_counts_nothing_and_dates_nothing(registry: Registry) -> None:
    for count in ("0", "-1", "x"):
        assert registry.get(f"/Patient?_count={count}").status_code == 400
    answer = registry.get(f"/Observation?code={SNOMED}|27113001&_count=2")
    assert "total" not in answer.json()
    assert {each["relation"] for each in answer.json()["link"]} == {"self", "next"}
    token = registry.found("/Patient?_count=1")[0]["id"]
    for each in (answer, registry.get(f"/Patient/{token}")):
        assert not {"etag", "last-modified", "location"} & set(each.headers)


@pytest.mark.parametrize("when", ["Thu, 01 Jan 2099 00:00:00 GMT", "Thu, 01 Jan 1970 00:00:00 GMT"])
def test_a_condition_on_a_version_is_not_looked_at(registry: Registry, when: str) -> None:
    token = registry.found("/Patient?_count=1")[0]["id"]
    for headers in ({"If-Modified-Since": when}, {"If-None-Match": 'W/"1"'}):
        assert registry.get(f"/Patient/{token}", headers=headers).status_code == 200


def test_an_id_is_as_unknown_as_what_never_was(registry: Registry) -> None:
    own = registry.children[0].patient["id"]
    token = registry.found("/Patient?_count=1")[0]["id"]
    refusals = [
        registry.get(f"/Patient/{each}")
        for each in (
            own,
            "never-was",
            token[:-1] + ("a" if token[-1] != "a" else "b"),
            token.upper(),
        )
    ]
    refusals.append(registry.get(f"/Observation/{token}"))  # a token is of one type
    assert {each.status_code for each in refusals} == {404}
    assert len({each.text for each in refusals}) == 1


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("GET", "/Patient/{token}/_history"), ("GET", "/Patient/{token}/_history/1"),
        ("GET", "/Patient/_history"), ("GET", "/_history"), ("GET", "/?_type=Patient"),
        ("GET", "/Patient/{token}/$everything"), ("GET", "/Patient/{token}/Observation"),
        ("GET", "/Observation/$lastn"), ("GET", "/Observation/$stats"), ("GET", "/Task"),
        ("GET", "/Practitioner"), ("GET", "/AuditEvent"), ("GET", "/Group"), ("GET", "/DocumentReference"),
        ("GET", "/Composition"), ("GET", "/Provenance"), ("GET", "/RelatedPerson"), ("GET", "/Consent"),
        ("POST", "/Patient"), ("PUT", "/Patient/{token}"), ("PATCH", "/Patient/{token}"),
        ("DELETE", "/Patient/{token}"), ("POST", "/"), ("POST", "/$validate"), ("POST", "/$import"),
        ("POST", "/Patient/{token}/$purge"), ("GET", "/Measure/$evaluate"), ("GET", "/Group/g/$export"),
        ("POST", "/$closure"), ("GET", "/Unheard/x"),
    ],
)  # fmt: skip
def test_what_is_not_listed_is_refused(registry: Registry, method: str, url: str) -> None:
    token = registry.found("/Patient?_count=1")[0]["id"]
    answer = registry.ask("analyst", method, url.format(token=token), content=b"{}")
    assert answer.status_code == 403, answer.text


def test_an_analyst_may_post_its_search(registry: Registry) -> None:
    form = registry.ask("analyst", "POST", "/Patient/_search", data={"gender": "female"})
    assert [each["resource"] for each in form.json()["entry"]] == registry.found(
        "/Patient?gender=female"
    )
    refused = registry.ask("analyst", "POST", "/Patient/_search", data={"family": "a"})
    assert refused.status_code == 403


def test_terms_are_answered_as_to_anybody(registry: Registry) -> None:
    query = "/CodeSystem/$lookup?system=http://hl7.org/fhir/administrative-gender&code=male"
    assert registry.get(query).json() == registry.get(query, "registry").json()
    assert registry.get("/metadata").status_code == 200


def test_answers_come_in_the_format_that_is_asked_for(registry: Registry) -> None:
    answer = registry.get("/Patient?_count=1&_format=xml")
    assert answer.headers["content-type"].startswith("application/fhir+xml")
