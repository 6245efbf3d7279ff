"""Every operation, asked for anything, of whatever is stored: an answer, or a refusal that says why."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import strategies as st

from fhir_server.operations import (
    amend,
    assemble,
    care_gaps,
    carry_over,
    closure,
    collect_data,
    data_requirements,
    evaluation_asked,
    expand,
    extract,
    fhir_message,
    grade,
    lookup,
    populate,
    process_response,
    sign,
    subsumes,
    translate,
    validate,
    validate_code,
)
from fhir_server.operations.parameters import Kinds
from fhir_server.rest.routes import TABLE, Interaction
from questionnaires import forms
from tests.profiles.generated import resources
from tests.questionnaires.support import NOTE, SURVEY, example
from tests.support.colours import CODES, COLOURS, MAP, REDS, TERMINOLOGIES
from tests.support.mutations import (
    JSON,
    LEAVES,
    WRONG,
    content_of,
    every,
    mutants,
    mutated,
    no_failure,
    of_lengths,
)
from tests.support.server import Served, served

DOCUMENTS = ("$process-cda", "$convert")
"""The body of these is a document: damaged in test_cda_notes, test_hl7v2_explain, test_convert."""
ROWS = [row for row in TABLE if "$" in row.path and row.code not in DOCUMENTS]
"""What is asked with parameters."""
TEXTS: Kinds = dict.fromkeys(
    ["subject", "code", "system", "statistic", "duration", "limit"], "string"
)
BULK: Kinds = dict.fromkeys(["_type", "_since", "_until", "_outputFormat", "_typeFilter"], "string")
KINDS: dict[str, Kinds] = {
    "$addend": amend.ADDENDUM,
    "$assemble": assemble.NAMES,
    "$bulk": {},
    "$care-gaps": care_gaps.NAMES,
    "$carry-over": carry_over.NAMES,
    "$closure": closure.NAMES,
    "$collect-data": collect_data.NAMES,
    "$correct": amend.CORRECTION,
    "$data-requirements": data_requirements.NAMES,
    "$document": {},
    "$evaluate": evaluation_asked.NAMES,
    "$events": dict.fromkeys(["eventsSinceNumber", "eventsUntilNumber", "content"], "string"),
    "$everything": dict.fromkeys(["start", "end", "_since", "_type", "_count"], "string"),
    "$expand": expand.NAMES,
    "$export": BULK,
    "$extract": extract.NAMES,
    "$grade": grade.NAMES,
    "$import": dict.fromkeys(["inputFormat", "inputSource", "input", "mode"], "string"),
    "$lastn": dict.fromkeys(["patient", "subject", "category", "code", "max", "date"], "string"),
    "$lookup": lookup.NAMES,
    "$mdm": {},
    "$pdf": {},
    "$populate": populate.NAMES,
    "$process-message": fhir_message.NAMES,
    "$process-response": {**process_response.NAMES, **process_response.OF_A_FORM},
    "$purge": {},
    "$scorecard": {"client": "string"},
    "$sign": sign.NAMES,
    "$stats": TEXTS,
    "$status": dict.fromkeys(["id", "status"], "string"),
    "$subsumes": subsumes.NAMES,
    "$translate": translate.NAMES,
    "$validate": validate.NAMES,
    "$validate-code": {**validate_code.OF_SYSTEM, **validate_code.OF_SET},
}
RIGHT: dict[str, tuple[str, ...]] = {
    "$addend": ("text", "signer"),
    "$assemble": ("questionnaire",),
    "$care-gaps": ("measureUrl", "periodStart", "periodEnd", "status"),
    "$carry-over": ("response", "signer"),
    "$collect-data": ("measureUrl", "periodStart", "periodEnd"),
    "$correct": ("response", "reason", "signer"),
    "$closure": ("name", "concept"),
    "$data-requirements": ("measureUrl",),
    "$evaluate": ("measureUrl", "periodStart", "periodEnd"),
    "$expand": ("url",),
    "$extract": ("response",),
    "$lookup": ("system", "code"),
    "$populate": ("questionnaire", "subject", "context"),
    "$process-response": ("response",),
    "$sign": ("response", "signer", "hospital"),
    "$stats": ("subject", "code", "system", "statistic"),
    "$subsumes": ("codeA", "codeB", "system"),
    "$translate": ("url", "system", "code"),
    "$validate": ("resource",),
    "$validate-code": ("url", "system", "code"),
}
"""Parameters that, given together, are answered where their values are right too."""
LIKELY: dict[str, Any] = {
    "url": REDS,
    "url of $expand": "http://hl7.org/fhir/ValueSet/observation-status",
    "url of $translate": MAP,
    "system": COLOURS,
    "system of $lookup": "http://hl7.org/fhir/observation-status",
    "code": "red",
    "code of $lookup": "final",
    "codeA": "red",
    "codeB": "pink",
    "measureUrl": "https://csor.example/fhir/Measure/hirschsprung-outcome",
    "periodStart": "2020-01-01",
    "periodEnd": "2020-12-31",
    "subject": "Patient/fuzzed",
    "statistic": "count",
}
URLS = st.sampled_from([
    COLOURS, REDS, MAP, f"{REDS}|2", "http://hl7.org/fhir/ValueSet/observation-status",
    "http://hl7.org/fhir/observation-status", "http://snomed.info/sct",
    "http://snomed.info/sct?fhir_vs=ecl/<< 1", "http://snomed.info/sct?fhir_vs=isa/%", "urn:x", "",
    "https://csor.example/fhir/Measure/hirschsprung-outcome",
    "https://csor.example/fhir/StructureDefinition/csor-patient",
])  # fmt: skip
CODED = st.sampled_from([*CODES, "final", "create", "profile", "en", "", "summary", "subject-list"])
STRINGS = CODED | URLS | st.sampled_from([
    "2020", "2020-01-01", "2020-13", "Patient/fuzzed", "Organization/x", "1", "r", "\x00", "a,b", "average",
    "count,median", "Patient?identifier=a|b", "Practitioner?identifier=x|1", "P1D", "9" * 30, "-1",
    "_id", "Patient,Observation", "application/fhir+ndjson",
])  # fmt: skip
CODINGS = st.fixed_dictionaries(
    {"code": CODED}, optional={"system": URLS, "display": STRINGS, "version": STRINGS}
)
RESPONSES = [example(NOTE, "soave-laparoscopic"), example(SURVEY, "continent-child")]
RESOURCES = (
    st.sampled_from(TERMINOLOGIES) | st.sampled_from(TERMINOLOGIES).flatmap(mutated)
    | st.sampled_from(RESPONSES) | st.sampled_from(RESPONSES).flatmap(mutated) | mutants()
)  # fmt: skip
PARTS = st.sampled_from([
    {"name": "name", "valueString": "patient"}, {"name": "name", "valueCode": "user"},
    {"name": "content", "valueReference": {"reference": "Patient/fuzzed"}}, {"name": "content"},
    {"name": "content", "resource": {"resourceType": "Patient", "id": "x"}}, {},
])  # fmt: skip
VALUES: dict[str, tuple[str, st.SearchStrategy[Any]]] = {
    "resource": ("resource", RESOURCES),
    "reference": ("valueReference", st.fixed_dictionaries({"reference": STRINGS})),
    "party": ("valueReference", st.fixed_dictionaries({"reference": STRINGS})),
    "string": ("valueString", STRINGS),
    "date": ("valueDate", STRINGS),
    "uri": ("valueUri", URLS),
    "code": ("valueCode", CODED),
    "boolean": ("valueBoolean", st.booleans()),
    "integer": ("valueInteger", st.integers(-2, 5)),
    "dateTime": ("valueDateTime", STRINGS),
    "questionnaire": ("resource", RESOURCES),
    "Identifier": ("valueIdentifier", st.fixed_dictionaries({"value": STRINGS})),
    "parts": ("part", st.lists(PARTS, max_size=3)),
    "Coding": ("valueCoding", CODINGS),
    "CodeableConcept": (
        "valueCodeableConcept",
        st.fixed_dictionaries(
            {}, optional={"coding": st.lists(CODINGS, max_size=2), "text": STRINGS}
        ),
    ),
}
PLACES = {
    "type": st.sampled_from(["Patient", "ValueSet", "Bundle", "QuestionnaireResponse", "Nothing"]),
    "id": st.sampled_from(["fuzzed", "other", "x" * 65, "%00"]),
    "job": st.sampled_from(["x", "1", "%00"]),
    "file": st.sampled_from(["x", "..", "1.ndjson"]),
}


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("operations")) as running:
        for resource in (*TERMINOLOGIES, {"resourceType": "Patient", "birthDate": "2020-01-01"}):
            path = f"/{resource['resourceType']}/fuzzed"
            assert running.http.put(path, json={**resource, "id": "fuzzed"}).status_code in (
                200,
                201,
            )
        yield running


@st.composite
def asked(draw: st.DrawFn) -> tuple[Interaction, str, list[tuple[str, str, Any]]]:
    """Draw a row of the routes, its path, and parameters: name, key of the value, value."""
    code = draw(st.sampled_from(sorted(KINDS)))
    row = draw(st.sampled_from([each for each in ROWS if each.code == code]))
    path = row.path
    for name, values in PLACES.items():
        if f"{{{name}}}" in path:
            path = path.replace(f"{{{name}}}", draw(values))
    kinds = KINDS[row.code]
    right = RIGHT.get(row.code, ()) if draw(st.booleans()) else ()
    more = draw(st.lists(st.sampled_from(sorted(kinds) or ["x"]), max_size=3 if not right else 1))
    given = []
    for name in (*right, *more):
        key, values = VALUES[kinds.get(name, "string")]
        if name in LIKELY and draw(st.integers(0, 3)) < 3:
            values = st.just(LIKELY.get(f"{name} of {row.code}", LIKELY[name]))
        elif draw(st.integers(0, 9)) == 9:
            key, values = draw(st.sampled_from([(key, WRONG), ("part", WRONG), ("valueX", LEAVES)]))
        given.append((name, key, draw(values)))
    return row, path, given


def test_every_operation_is_among_them() -> None:
    assert {row.code for row in ROWS} == set(KINDS)


@of_lengths(400, 8000)
def test_an_operation_asked_for_anything(door: Served, length: int) -> None:
    answered: set[str] = set()

    def check(drawn: tuple[Interaction, str, list[tuple[str, str, Any]]]) -> None:
        row, path, given = drawn
        if row.method == "POST":
            listed = [{"name": name, key: value} for name, key, value in given]
            bodies: list[Any] = [{"resourceType": "Parameters", "parameter": listed}]
            bodies += [value for _, key, value in given if key == "resource"]
            answers = [
                door.http.post(path, content=content_of(each), headers=JSON) for each in bodies
            ]
        else:
            params = httpx.QueryParams(
                [(n, clean(v)) for n, _, v in given if not isinstance(v, dict)]
            )
            answers = [door.http.request(row.method, path, params=params)]
        for answer in answers:
            if no_failure(answer).is_success:
                answered.add(row.code)

    every(length, check, asked())
    assert len(answered) >= 5, answered


def clean(value: Any) -> str:
    return str(value).encode("utf-8", "replace").decode()


USES = (
    "ValueSet/{id}/$expand", "ValueSet/{id}/$expand?filter=r&count=2&includeDesignations=true",
    "ValueSet/{id}/$expand?activeOnly=true&excludeNested=false&displayLanguage=fr",
    "ValueSet/{id}/$validate-code?system={system}&code={code}&display=x",
    "ValueSet/$expand?url={url}", "ValueSet/$validate-code?url={url}&system={system}&code={code}",
    "CodeSystem/{id}/$validate-code?code={code}", "CodeSystem/$lookup?system={url}&code={code}",
    "CodeSystem/{id}/$subsumes?codeA={code}&codeB=red", "CodeSystem/$validate-code?url={url}&code={code}",
    "ConceptMap/{id}/$translate?system={system}&code={code}",
    "ConceptMap/{id}/$translate?system={system}&code={code}&reverse=true",
    "ConceptMap/$translate?url={url}&system={system}&code={code}",
    "Observation?code:in={url}", "Observation?code:below={system}|{code}",
    "Measure/$evaluate?measureUrl={url}&periodStart=2020&periodEnd=2021",
    "Measure/{id}/$evaluate-measure?periodStart=2020&periodEnd=2021", "{kind}/{id}/$validate?profile={url}",
)  # fmt: skip
FORMS = [{**each, "url": f"https://example.org/{at}"} for at, each in enumerate(forms().values())]
DEFINITIONS = (
    "CodeSystem", "ConceptMap", "Measure", "NamingSystem", "OperationDefinition", "Questionnaire",
    "SearchParameter", "StructureDefinition", "ValueSet", "Subscription", "Library",
)  # fmt: skip


@of_lengths(80, 1500)
def test_a_definition_that_is_stored_is_used(door: Served, length: int) -> None:
    stored: set[str] = set()
    drawn = (
        st.sampled_from(TERMINOLOGIES).flatmap(mutated)
        | st.sampled_from(DEFINITIONS).flatmap(resources)
        | mutants().filter(lambda each: each.get("resourceType") in DEFINITIONS)
        | st.sampled_from(FORMS).flatmap(mutated)
    )

    def check(resource: dict[str, Any], code: str) -> None:
        kind, url = resource.get("resourceType"), resource.get("url")
        content = content_of({**resource, "id": "stored"})
        answer = no_failure(door.http.put(f"/{kind}/stored", content=content, headers=JSON))
        if not answer.is_success:
            return
        stored.add(str(kind))
        place = {"id": "stored", "kind": kind, "code": code, "system": COLOURS, "url": url or REDS}
        for use in USES:
            path, _, query = use.partition("?")
            params = [pair.split("=") for pair in query.split("&")] if query else []
            no_failure(
                door.http.get(
                    f"/{path.format(**place)}",
                    params=[(name, value.format(**place)) for name, value in params],
                )
            )
        if kind == "Questionnaire":
            child = {"name": "subject", "valueReference": {"reference": "Patient/fuzzed"}}
            body = {"resourceType": "Parameters", "parameter": [child]}
            no_failure(door.http.post("/Questionnaire/stored/$populate", json=body))
            for response in RESPONSES:
                answers = {**response, "questionnaire": url or "urn:x"}
                for operation in ("$extract", "$process-response", "$validate", ""):
                    path = f"/QuestionnaireResponse/{operation}".rstrip("/")
                    no_failure(door.http.post(path, content=content_of(answers), headers=JSON))

    for whole in (*TERMINOLOGIES, FORMS[0]):
        check(whole, CODES[0])
    assert stored == {"CodeSystem", "ValueSet", "ConceptMap", "Questionnaire"}
    every(length, check, drawn, st.sampled_from(CODES))
