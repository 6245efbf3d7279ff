"""Whatever is made of a resource, validating or writing it is answered, and never fails."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from r4.json import encode
from tests.support.mutations import WRONG, mutants, seeds, sent
from tests.support.outcomes import issues, rule
from tests.support.server import Served

EXAMPLES = 120
OF_A_TEST = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@st.composite
def bundles(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a transaction or batch of such resources, parts of it made wrong as well."""
    entries = []
    for number in range(draw(st.integers(0, 4))):
        resource = draw(mutants())
        kind = resource.get("resourceType")
        method = draw(st.sampled_from(["POST", "POST", "PUT", "DELETE", "GET", "PATCH"]))
        url = f"{kind}" if method == "POST" else f"{kind}/{resource.get('id', 'a')}"
        url = draw(st.sampled_from([url, url, f"{kind}?_id=a", f"{kind}?identifier=a|b"]))
        request: dict[str, Any] = {"method": method, "url": url}
        if draw(st.booleans()):
            name = draw(st.sampled_from(["ifNoneExist", "ifMatch", "url", "method"]))
            request[name] = draw(st.sampled_from(["identifier=a", 'W/"1"', "", "x=y"]) | WRONG)
        entry = {"fullUrl": f"urn:uuid:{number}", "resource": resource, "request": request}
        if method in ("GET", "DELETE"):
            del entry["resource"]
        entries.append(draw(st.sampled_from([entry, entry, entry, entry]) | WRONG))
    kind = draw(st.sampled_from(["transaction", "batch"]))
    return {"resourceType": "Bundle", "type": kind, "entry": entries}


def test_what_is_mutated_is_in_part_accepted_and_in_part_refused(server: Served) -> None:
    statuses = [sent(server, f"/{each['resourceType']}", each).status_code for each in seeds()]
    assert {201, 422} <= set(statuses)
    assert statuses.count(201) >= 3


@OF_A_TEST
@given(mutants(), st.sampled_from(["", "?mode=create"]))
def test_a_resource_that_is_validated(server: Served, resource: Any, query: str) -> None:
    answer = sent(server, f"/$validate{query}", resource)
    assert answer.status_code in (200, 400)


@OF_A_TEST
@given(mutants())
def test_a_resource_that_is_created_is_validated_alike(server: Served, resource: Any) -> None:
    kind = resource.get("resourceType")
    if not isinstance(kind, str) or not kind.isalpha():
        kind = "Patient"
    answer = sent(server, f"/{kind}", resource)
    if answer.status_code == 201 and kind not in ("Parameters", "QuestionnaireResponse"):
        content = {
            key: value for key, value in resource.items() if key != "id"
        }  # is not taken over
        said = issues(sent(server, "/$validate?mode=create", content))
        assert [each for each in said if each["severity"] in ("error", "fatal")] == []


@OF_A_TEST
@given(bundles())
def test_a_bundle_is_rehearsed_and_carried_out_alike(server: Served, bundle: Any) -> None:
    rehearsed = sent(server, "/$validate", bundle)
    assert rehearsed.status_code in (200, 400)
    done = sent(server, "/", bundle)
    if rehearsed.status_code == 200 and bundle.get("type") == "transaction":
        rules = [rule(issue) for issue in issues(rehearsed) if issue["severity"] == "information"]
        promised = 0 < len(rules) == len(bundle["entry"]) and "would-be-refused" not in rules
        assert promised == (done.status_code == 200), (encode(bundle), rehearsed.text, done.text)
