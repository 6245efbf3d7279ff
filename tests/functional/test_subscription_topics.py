"""Topic subscriptions, R5 Backport for R4. http://hl7.org/fhir/uv/subscriptions-backport/."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from fhir_server.interactions.topics import TOPICS
from r4 import xml
from tests.support.databases import KINDS
from tests.support.endpoint import Endpoint, listening
from tests.support.server import Served, served

NEW_CASE = "https://csor.example/fhir/SubscriptionTopic/new-case"
NEW_OUTCOME = "https://csor.example/fhir/SubscriptionTopic/new-outcome"
BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
CONDITION = "https://csor.example/fhir/CodeSystem/condition"
MEASURE = "https://csor.example/fhir/Measure/hirschsprung-core-outcome"

Resource = dict[str, Any]


@pytest.fixture(scope="module", params=KINDS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A server that gives up soon."""
    folder = tmp_path_factory.mktemp("server")
    quick = {"subscription_attempts": 2, "subscription_delay": 0.05}
    with served(folder, request.param, **quick) as running:
        yield running


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with listening() as made:
        yield made


def topic(endpoint: Endpoint, url: str, content: str, *filters: str, **settings: int) -> Resource:
    criteria = [{"url": f"{BACKPORT}/backport-filter-criteria", "valueString": f} for f in filters]
    channel = [
        {
            "url": f"{BACKPORT}/backport-{name.replace('_', '-')}",
            "valuePositiveInt" if name == "max_count" else "valueUnsignedInt": value,
        }
        for name, value in settings.items()
    ]
    shown = [{"url": f"{BACKPORT}/backport-payload-content", "valueCode": content}]
    return {
        "resourceType": "Subscription",
        "status": "requested",
        "reason": "to know of new cases",
        "criteria": url,
        **({"_criteria": {"extension": criteria}} if criteria else {}),
        "channel": {
            **({"extension": channel} if channel else {}),
            "type": "rest-hook",
            "endpoint": endpoint.url,
            "payload": "application/fhir+json",
            "_payload": {"extension": shown},
        },
    }


def subscribe(server: Served, resource: Resource) -> str:
    made = server.http.post("/Subscription", json=resource)
    assert made.status_code == 201, made.text
    id = made.json()["id"]
    wait_for_status(server, id, "active")
    return str(id)


def wait_for_status(server: Served, id: str, status: str) -> None:
    deadline = time.monotonic() + 20
    while server.http.get(f"/Subscription/{id}").json()["status"] != status:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def wait_for_events(server: Served, id: str, many: int) -> None:
    """Wait until so many events have been dealt with, which is soon after the endpoint's answer."""
    deadline = time.monotonic() + 5
    while True:
        bundle = server.http.get(f"/Subscription/{id}/$status").json()
        assert bundle["type"] == "searchset"
        if told(bundle)["events-since-subscription-start"] == str(many):
            return
        assert time.monotonic() < deadline
        time.sleep(0.01)


def create(server: Served, resource: Resource) -> Resource:
    answer = server.http.post(f"/{resource['resourceType']}", json=resource)
    assert answer.status_code == 201, answer.text
    found: Resource = answer.json()
    return found


def case(server: Served, code: str = "hirschsprung") -> Resource:
    child = create(server, {"resourceType": "Patient"})
    kind = {"coding": [{"system": CONDITION, "code": code}]}
    return create(
        server,
        {
            "resourceType": "EpisodeOfCare",
            "status": "active",
            "type": [kind],
            "patient": {"reference": f"Patient/{child['id']}"},
        },
    )


def said(status: Resource) -> dict[str, Any]:
    """Map the names of a status's parameters to their values; the events as such maps."""
    found: dict[str, Any] = {"events": []}
    for parameter in status["parameter"]:
        if parameter["name"] == "notification-event":
            found["events"].append({part["name"]: value(part) for part in parameter["part"]})
        else:
            found[parameter["name"]] = value(parameter)
    return found


def value(parameter: Resource) -> Any:
    return next(v for name, v in parameter.items() if name.startswith("value"))


def told(bundle: Resource) -> dict[str, Any]:
    return said(bundle["entry"][0]["resource"])


def faults(server: Served, resource: Resource) -> list[Resource]:
    """List what is wrong with a resource; that the profile is not known here is no fault."""
    found = server.http.post("/$validate", json=resource).json()["issue"]
    return [issue for issue in found if issue["severity"] in ("fatal", "error")]


def notifications(endpoint: Endpoint, kind: str) -> list[Resource]:
    bundles = [each.json for each in endpoint.received]
    return [bundle for bundle in bundles if told(bundle)["type"] == kind]


def test_a_handshake_comes_first(server: Served, endpoint: Endpoint) -> None:
    id = subscribe(server, topic(endpoint, NEW_CASE, "empty"))
    (received,) = endpoint.wait_for(1)
    assert (received.method, received.path) == ("POST", endpoint.path)
    assert received.headers["content-type"] == "application/fhir+json"
    bundle = received.json
    assert bundle["type"] == "history"
    assert told(bundle) == {
        "subscription": {"reference": f"{server.base_url}/Subscription/{id}"},
        "topic": NEW_CASE,
        "status": "requested",
        "type": "handshake",
        "events-since-subscription-start": "0",
        "events": [],
    }
    assert faults(server, bundle) == []


def test_without_a_handshake_there_is_no_subscription(server: Served, endpoint: Endpoint) -> None:
    endpoint.statuses = [500, 500, 500]
    id = server.http.post("/Subscription", json=topic(endpoint, NEW_CASE, "empty")).json()["id"]
    wait_for_status(server, id, "error")
    found = server.http.get(f"/Subscription/{id}").json()
    assert found["error"] == "The handshake failed. The endpoint answered 500."
    assert len(endpoint.received) == 2


@pytest.mark.parametrize("content", ["empty", "id-only", "full-resource"])
def test_a_new_case_is_told_with_as_much_as_was_asked_for(
    server: Served, endpoint: Endpoint, content: str
) -> None:
    id = subscribe(server, topic(endpoint, NEW_CASE, content))
    made = case(server)
    server.http.put(
        f"/EpisodeOfCare/{made['id']}", json={**made, "status": "finished"}
    ).raise_for_status()
    second = case(server)
    endpoint.wait_for(3)
    bundles = notifications(endpoint, "event-notification")
    assert [told(each)["events-since-subscription-start"] for each in bundles] == ["1", "2"]
    bundle = bundles[1]
    (event,) = told(bundle)["events"]
    assert event["event-number"] == "2"
    assert event["timestamp"] == second["meta"]["lastUpdated"]
    place = f"{server.base_url}/EpisodeOfCare/{second['id']}"
    assert event.get("focus") == (None if content == "empty" else {"reference": place})
    shown = [(each["fullUrl"], each["resource"]) for each in bundle["entry"][1:]]
    assert shown == ([(place, second)] if content == "full-resource" else [])
    assert faults(server, bundle) == []
    wait_for_events(server, id, 2)


def test_filters_must_all_be_met(server: Served, endpoint: Endpoint) -> None:
    subscribe(
        server,
        topic(
            endpoint, NEW_CASE, "id-only", "EpisodeOfCare?type=gastroschisis", f"type={CONDITION}|"
        ),
    )
    case(server)
    wanted = case(server, "gastroschisis")
    endpoint.wait_for(2)
    time.sleep(0.1)
    (bundle,) = notifications(endpoint, "event-notification")
    (event,) = told(bundle)["events"]
    assert event["focus"]["reference"].endswith(wanted["id"])


def report(child: str, kind: str = "individual") -> Resource:
    return {
        "resourceType": "MeasureReport",
        "status": "complete",
        "type": kind,
        "measure": MEASURE,
        **({"subject": {"reference": f"Patient/{child}"}} if kind == "individual" else {}),
        "period": {"start": "2020-01-01", "end": "2020-12-31"},
    }


def test_a_new_outcome_is_told_and_so_is_a_changed_one_but_no_summary(
    server: Served, endpoint: Endpoint
) -> None:
    subscribe(server, topic(endpoint, NEW_OUTCOME, "full-resource", f"measure={MEASURE}"))
    child = create(server, {"resourceType": "Patient"})["id"]
    create(server, report(child, "summary"))
    made = create(server, report(child))
    changed = {**made, "status": "pending"}
    server.http.put(f"/MeasureReport/{made['id']}", json=changed).raise_for_status()
    endpoint.wait_for(3)
    bundles = notifications(endpoint, "event-notification")
    told_of = [bundle["entry"][1]["resource"] for bundle in bundles]
    assert [(each["type"], each["status"]) for each in told_of] == [
        ("individual", "complete"),
        ("individual", "pending"),
    ]
    requests = [bundle["entry"][1]["request"]["method"] for bundle in bundles]
    assert requests == ["POST", "PUT"]


def test_events_are_bundled_up_to_the_count_that_is_asked_for(
    server: Served, endpoint: Endpoint
) -> None:
    subscribe(server, topic(endpoint, NEW_CASE, "id-only", max_count=3))
    endpoint.delay = 1.0
    for _ in range(5):
        case(server)
    endpoint.wait_until(
        lambda: sum(len(told(b.json)["events"]) for b in list(endpoint.received)) == 5
    )
    bundles = notifications(endpoint, "event-notification")
    numbers = [[e["event-number"] for e in told(bundle)["events"]] for bundle in bundles]
    assert [each for some in numbers for each in some] == ["1", "2", "3", "4", "5"]
    assert 1 < max(len(some) for some in numbers) <= 3
    assert [told(b)["events-since-subscription-start"] for b in bundles] == [n[-1] for n in numbers]


def test_a_heartbeat_is_sent_when_nothing_happens(server: Served, endpoint: Endpoint) -> None:
    subscribe(server, topic(endpoint, NEW_CASE, "empty", heartbeat_period=1))
    endpoint.wait_for(3)
    first, second = notifications(endpoint, "heartbeat")[:2]
    assert told(first)["status"] == "active"
    assert told(first)["events"] == told(second)["events"] == []
    beats = [each.moment for each in endpoint.received[1:3]]
    assert 0.9 < beats[1] - beats[0] < 10


def test_an_endpoint_that_does_not_answer_in_time_is_told_again(
    server: Served, endpoint: Endpoint
) -> None:
    id = subscribe(server, topic(endpoint, NEW_CASE, "empty", timeout=1))
    endpoint.delay = 3
    case(server)
    time.sleep(0.5)
    endpoint.delay = 0
    endpoint.wait_for(3)
    wait_for_events(server, id, 1)
    bundles = notifications(endpoint, "event-notification")
    assert [[e["event-number"] for e in told(b)["events"]] for b in bundles] == [["1"], ["1"]]


def test_notifications_are_xml_where_that_is_asked_for(server: Served, endpoint: Endpoint) -> None:
    wanted = topic(endpoint, NEW_CASE, "full-resource")
    wanted["channel"]["payload"] = "application/fhir+xml"
    subscribe(server, wanted)
    made = case(server)
    endpoint.wait_for(2)
    received = endpoint.received[1]
    assert received.headers["content-type"] == "application/fhir+xml"
    bundle = xml.decode(received.body)
    assert told(bundle)["type"] == "event-notification"
    assert bundle["entry"][1]["resource"] == made


def test_past_events_can_be_asked_for_by_their_numbers(server: Served, endpoint: Endpoint) -> None:
    id = subscribe(server, topic(endpoint, NEW_CASE, "empty"))
    made = [case(server) for _ in range(4)]
    endpoint.wait_for(5)
    url = f"/Subscription/{id}/$events"
    wait_for_events(server, id, 4)
    asked = {"eventsSinceNumber": "2", "eventsUntilNumber": "3", "content": "full-resource"}
    bundle = server.http.get(url, params=asked).json()
    assert told(bundle)["type"] == "query-event"
    assert [e["event-number"] for e in told(bundle)["events"]] == ["2", "3"]
    assert [each["resource"] for each in bundle["entry"][1:]] == made[1:3]
    listed = [{"name": name, "valueString": value} for name, value in asked.items()]
    body = {"resourceType": "Parameters", "parameter": listed}
    assert (
        said(server.http.post(url, json=body).json()["entry"][0]["resource"])["events"]
        == (told(bundle)["events"])
    )
    assert server.http.get(url, params={"eventsSinceNumber": "x"}).status_code == 400
    assert server.http.get(url, params={"content": "all"}).status_code == 400
    assert server.http.get("/Subscription/nobody/$events").status_code == 404


def test_the_status_of_many_is_asked_for_by_id_and_status(
    server: Served, endpoint: Endpoint
) -> None:
    one, other = (subscribe(server, topic(endpoint, NEW_CASE, "empty")) for _ in range(2))
    found = server.http.get(f"/Subscription/$status?id={one},{other}").json()
    assert {said(e["resource"])["subscription"]["reference"][-36:] for e in found["entry"]} == {
        one, other
    }  # fmt: skip
    assert server.http.get(f"/Subscription/$status?id={one}&status=error").json()["total"] == 0
    every = server.http.get("/Subscription/$status?status=active").json()
    assert every["total"] >= 2
    assert {said(entry["resource"])["type"] for entry in every["entry"]} == {"query-status"}


@pytest.mark.parametrize(
    "change",
    [
        {"criteria": "https://csor.example/fhir/SubscriptionTopic/nothing"},
        {"_criteria": {"extension": [{"url": f"{BACKPORT}/backport-filter-criteria",
                                      "valueString": "EpisodeOfCare?status=active"}]}},
        {"_criteria": {"extension": [{"url": f"{BACKPORT}/backport-filter-criteria",
                                      "valueString": "Patient?type=a"}]}},
        {"channel": {"type": "rest-hook", "endpoint": "http://127.0.0.1:9/",
                     "payload": "application/fhir+json"}},
    ],
    ids=["topic", "filter", "type", "content"],
)  # fmt: skip
def test_what_a_topic_does_not_serve_is_refused(
    server: Served, endpoint: Endpoint, change: Resource
) -> None:
    wanted = {**topic(endpoint, NEW_CASE, "empty"), **change}
    answer = server.http.post("/Subscription", json=wanted)
    assert answer.status_code == 422
    assert answer.json()["issue"][0]["expression"][0].startswith("Subscription.")


def test_the_topics_are_published_in_the_capability_statement(server: Served) -> None:
    types = server.http.get("/metadata").json()["rest"][0]["resource"]
    (entry,) = [each for each in types if each["type"] == "Subscription"]
    urls = {
        each["valueCanonical"]
        for each in entry["extension"]
        if each["url"] == f"{BACKPORT}/capabilitystatement-subscriptiontopic-canonical"
    }
    assert urls == {NEW_CASE, NEW_OUTCOME} == set(TOPICS)
    assert {each["name"] for each in entry["operation"]} == {"status", "events"}
