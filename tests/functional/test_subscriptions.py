"""R4 rest-hook subscriptions: durable, retried, in order. https://hl7.org/fhir/R4/subscription.html."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_server.commands.dead_letters import dead_letters
from fhir_server.store import subscriptions as cursors
from tests.support.databases import KINDS
from tests.support.endpoint import Endpoint, listening
from tests.support.server import Process, Served, free_port, served

JSON = "application/fhir+json"
QUICK = {
    "subscription_attempts": 3,
    "subscription_delay": 0.05,
    "subscription_dead_letters": 2,
}


@pytest.fixture(scope="module", params=KINDS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A server that does not wait long before it tries again."""
    with served(tmp_path_factory.mktemp("server"), request.param, **QUICK) as running:
        yield running


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with listening() as made:
        yield made


def subscription(endpoint: str, family: str, **channel: Any) -> dict[str, Any]:
    return {
        "resourceType": "Subscription",
        "status": "requested",
        "reason": "to know of new children",
        "criteria": f"Patient?family={family}",
        "channel": {"type": "rest-hook", "endpoint": endpoint, **channel},
    }


def create(http: httpx.Client, resource: dict[str, Any]) -> dict[str, Any]:
    answer = http.post(f"/{resource['resourceType']}", json=resource)
    assert answer.status_code == 201, answer.text
    return answer.json()


def subscribe(server: Served, endpoint: Endpoint, family: str, **channel: Any) -> str:
    """Subscribe to children of a family name; returns the id once the subscription is active."""
    made = create(server.http, subscription(endpoint.url, family, **channel))
    wait_for_status(server.http, made["id"], "active")
    return str(made["id"])


def wait_for_status(http: httpx.Client, id: str, status: str) -> dict[str, Any]:
    deadline = time.monotonic() + 20
    while (found := http.get(f"/Subscription/{id}").json())["status"] != status:
        assert time.monotonic() < deadline, found
        time.sleep(0.01)
    return found


def patient(family: str, given: str = "Ada") -> dict[str, Any]:
    return {"resourceType": "Patient", "name": [{"family": family, "given": [given]}]}


def given_names(endpoint: Endpoint) -> list[str]:
    return [each.json["name"][0]["given"][0] for each in endpoint.received]


def test_a_match_is_told_by_a_post_without_body(server: Served, endpoint: Endpoint) -> None:
    subscribe(server, endpoint, "Heron", header=["X-Key: 17"])
    create(server.http, patient("Wren"))
    create(server.http, patient("Heron"))
    (received,) = endpoint.wait_for(1)
    assert (received.method, received.path, received.body) == ("POST", endpoint.path, b"")
    assert received.headers["x-key"] == "17"


def test_with_a_payload_the_resource_is_put_below_the_endpoint(
    server: Served, endpoint: Endpoint
) -> None:
    subscribe(server, endpoint, "Crane", payload=JSON)
    made = create(server.http, patient("Crane"))
    (received,) = endpoint.wait_for(1)
    assert (received.method, received.path) == ("PUT", f"{endpoint.path}/Patient/{made['id']}")
    assert received.headers["content-type"] == JSON
    assert received.json == made


def test_xml_is_sent_where_it_is_asked_for(server: Served, endpoint: Endpoint) -> None:
    subscribe(server, endpoint, "Stork", payload="application/fhir+xml")
    create(server.http, patient("Stork"))
    (received,) = endpoint.wait_for(1)
    assert received.headers["content-type"] == "application/fhir+xml"
    assert b'<family value="Stork"/>' in received.body


def test_each_version_is_judged_as_it_was(server: Served, endpoint: Endpoint) -> None:
    """Of three versions written at once, the one that matched is told, though it is not the last."""
    endpoint.delay = 0.3
    subscribe(server, endpoint, "Egret", payload=JSON)
    create(server.http, patient("Egret", "first"))
    made = create(server.http, patient("Ibis"))
    for family in ("Egret", "Spoonbill"):
        server.http.put(f"/Patient/{made['id']}", json={**patient(family), "id": made["id"]})
    assert given_names(endpoint)[:1] in ([], ["first"])
    endpoint.wait_for(2)
    time.sleep(0.4)
    assert [each.json["name"][0]["family"] for each in endpoint.received] == ["Egret", "Egret"]
    assert endpoint.received[1].json["meta"]["versionId"] == "2"


def test_a_chain_is_followed_to_what_the_same_transaction_stores_later(
    server: Served, endpoint: Endpoint
) -> None:
    made = subscription(endpoint.url, "x", payload=JSON)
    made["criteria"] = "Observation?subject:Patient.family=Avocet"
    wait_for_status(server.http, create(server.http, made)["id"], "active")
    observation = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "weight"},
        "subject": {"reference": "urn:uuid:0a8dfc6d-6ae8-4a4c-9a0b-2f3b0f9f6c11"},
    }
    entries = [
        {"resource": observation, "request": {"method": "POST", "url": "Observation"}},
        {
            "fullUrl": "urn:uuid:0a8dfc6d-6ae8-4a4c-9a0b-2f3b0f9f6c11",
            "resource": patient("Avocet"),
            "request": {"method": "POST", "url": "Patient"},
        },
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    assert server.http.post("/", json=bundle).status_code == 200
    (received,) = endpoint.wait_for(1)
    assert received.json["resourceType"] == "Observation"


def test_two_hundred_writes_reach_a_slow_endpoint_in_their_order(
    server: Served, endpoint: Endpoint
) -> None:
    endpoint.delay = 0.005
    subscribe(server, endpoint, "Swift", payload=JSON)
    names = [f"n{number}" for number in range(200)]
    for name in names:
        create(server.http, patient("Swift", name))
    endpoint.wait_for(200, 60)
    assert given_names(endpoint) == names


def test_what_is_refused_for_the_moment_is_sent_again_before_anything_else(
    server: Served, endpoint: Endpoint
) -> None:
    subscribe(server, endpoint, "Robin", payload=JSON)
    endpoint.statuses = [503, 429]
    for name in ("first", "second"):
        create(server.http, patient("Robin", name))
    endpoint.wait_for(4)
    assert given_names(endpoint) == ["first", "first", "first", "second"]


def test_an_endpoint_is_left_alone_for_as_long_as_it_asks(
    server: Served, endpoint: Endpoint
) -> None:
    subscribe(server, endpoint, "Finch")
    endpoint.statuses, endpoint.headers = [429], {"Retry-After": "1"}
    create(server.http, patient("Finch"))
    first, second = endpoint.wait_for(2)
    assert second.moment - first.moment >= 0.9


def test_what_happened_while_an_endpoint_was_down_is_told_when_it_is_back(server: Served) -> None:
    endpoint = Endpoint()
    port = free_port()
    with listening(endpoint, port):
        subscribe(server, endpoint, "Plover", payload=JSON)
    create(server.http, patient("Plover", "missed"))
    time.sleep(0.04)
    with listening(endpoint, port):
        endpoint.wait_for(1)
        assert given_names(endpoint) == ["missed"]


def test_what_is_refused_for_good_is_a_dead_letter_and_the_next_one_is_told(
    server: Served, endpoint: Endpoint
) -> None:
    id = subscribe(server, endpoint, "Tern", payload=JSON)
    endpoint.statuses = [400]
    for name in ("refused", "taken"):
        create(server.http, patient("Tern", name))
    endpoint.wait_for(2)
    assert given_names(endpoint) == ["refused", "taken"]
    database = server.context.database
    (letter,) = [each for each in cursors.dead_letters(database) if each.subscription == id]
    assert (letter.number, letter.status) == (1, 400)
    assert "Tern" not in letter.reason


def test_a_redirect_is_not_followed(server: Served, endpoint: Endpoint) -> None:
    with listening() as elsewhere:
        id = subscribe(server, endpoint, "Curlew")
        endpoint.statuses, endpoint.headers = [307], {"Location": elsewhere.url}
        create(server.http, patient("Curlew"))
        database = server.context.database
        endpoint.wait_until(lambda: id in {e.subscription for e in cursors.dead_letters(database)})
        assert elsewhere.received == []


def test_nothing_of_a_child_or_a_header_is_logged(
    server: Served, endpoint: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="csor")
    subscribe(server, endpoint, "Bittern", header=["Authorization: Bearer open-sesame"])
    endpoint.statuses = [503, 400]
    made = create(server.http, patient("Bittern"))
    create(server.http, patient("Bittern"))
    endpoint.wait_for(3)
    assert endpoint.received[0].headers["authorization"] == "Bearer open-sesame"
    said = "\n".join(r.getMessage() for r in caplog.records if r.name.startswith("csor"))
    assert "answered 503" in said
    assert "answered 400" in said
    for secret in ("Bittern", "sesame", made["id"]):
        assert secret not in said


def test_after_several_dead_letters_the_subscription_is_in_error_and_resumes_when_asked(
    server: Served, endpoint: Endpoint
) -> None:
    id = subscribe(server, endpoint, "Knot", payload=JSON)
    endpoint.statuses = [400, 400]
    for name in ("one", "two", "three"):
        create(server.http, patient("Knot", name))
    found = wait_for_status(server.http, id, "error")
    assert found["error"] == "The endpoint answered 400."
    assert given_names(endpoint) == ["one", "two"]
    server.http.put(f"/Subscription/{id}", json={**found, "status": "requested"})
    endpoint.wait_for(3)
    assert given_names(endpoint) == ["one", "two", "three"]
    assert "error" not in wait_for_status(server.http, id, "active")


@pytest.mark.parametrize("kind", KINDS)
def test_a_dead_letter_is_listed_and_sent_again_by_its_number(
    tmp_path: Path, kind: str, endpoint: Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    with served(tmp_path, kind, **QUICK) as server:
        subscribe(server, endpoint, "Ruff", payload=JSON)
        endpoint.statuses = [400]
        create(server.http, patient("Ruff"))
        endpoint.wait_for(1)
        database = server.context.database
        endpoint.wait_until(lambda: len(cursors.dead_letters(database)) == 1)
        settings = server.context.settings
    assert dead_letters(settings) == 0
    said = capsys.readouterr().out
    assert "event 1\tThe endpoint answered 400." in said
    assert "1 dead letters" in said
    number = int(said.split()[0])
    assert dead_letters(settings, [number]) == 0
    assert endpoint.received[1].body == endpoint.received[0].body
    assert dead_letters(settings, [number]) == 1
    assert capsys.readouterr().out == f"{number}\tdelivered\n{number}\tnot known\n"


def test_a_slow_subscriber_does_not_hold_up_another(server: Served, endpoint: Endpoint) -> None:
    with listening() as slow:
        slow.delay = 30.0
        subscribe(server, slow, "Dunlin")
        subscribe(server, endpoint, "Dunlin")
        for _ in range(5):
            create(server.http, patient("Dunlin"))
        endpoint.wait_for(5)
        assert slow.received == []


def test_a_subscription_that_is_off_or_deleted_tells_nothing(
    server: Served, endpoint: Endpoint
) -> None:
    off, deleted = (subscribe(server, endpoint, name) for name in ("Smew", "Teal"))
    found = server.http.get(f"/Subscription/{off}").json()
    server.http.put(f"/Subscription/{off}", json={**found, "status": "off"})
    entry = {"request": {"method": "DELETE", "url": f"Subscription/{deleted}"}}
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
    assert server.http.post("/", json=bundle).status_code == 200
    for family in ("Smew", "Teal"):
        create(server.http, patient(family))
    time.sleep(0.3)
    assert endpoint.received == []
    deadline = time.monotonic() + 5
    while cursors.cursor(server.context.database, deleted) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_subscription_ends_when_it_says(server: Served, endpoint: Endpoint) -> None:
    made = subscription(endpoint.url, "Gull")
    made["end"] = "2001-01-01T00:00:00Z"
    id = create(server.http, made)["id"]
    wait_for_status(server.http, id, "off")


@pytest.mark.parametrize(
    ("change", "expression"),
    [
        ({"criteria": "Patient?nonsense=1"}, "Subscription.criteria"),
        ({"criteria": "Nothing?code=1"}, "Subscription.criteria"),
        ({"criteria": "Patient?_count=5"}, "Subscription.criteria"),
        ({"status": "active"}, "Subscription.status"),
        ({"channel": {"type": "email"}}, "Subscription.channel.type"),
        ({"channel": {"payload": "text/plain"}}, "Subscription.channel.payload"),
        ({"channel": {"header": ["no colon"]}}, "Subscription.channel.header[0]"),
        ({"channel": {"header": ["Host: elsewhere"]}}, "Subscription.channel.header[0]"),
        ({"channel": {"endpoint": "http://10.0.0.1/"}}, "Subscription.channel.endpoint"),
        ({"channel": {"endpoint": "http://127.0.0.1@10.0.0.1/"}}, "Subscription.channel.endpoint"),
        ({"channel": {"endpoint": "file:///etc/passwd"}}, "Subscription.channel.endpoint"),
    ],
)
def test_what_cannot_be_served_is_refused(
    server: Served, change: dict[str, Any], expression: str
) -> None:
    made = subscription("http://127.0.0.1:9/hook", "Rook")
    channel = {**made["channel"], **change.get("channel", {})}
    answer = server.http.post("/Subscription", json={**made, **change, "channel": channel})
    assert answer.status_code == 422
    assert [issue["expression"] for issue in answer.json()["issue"]] == [[expression]]


def test_an_active_subscription_is_not_turned_elsewhere_without_being_asked_for(
    server: Served, endpoint: Endpoint
) -> None:
    id = subscribe(server, endpoint, "Shrike")
    found = server.http.get(f"/Subscription/{id}").json()
    assert server.http.put(f"/Subscription/{id}", json={**found, "reason": "new"}).is_success
    turned = {**found, "channel": {**found["channel"], "endpoint": "http://127.0.0.1:9/other"}}
    assert server.http.put(f"/Subscription/{id}", json=turned).status_code == 422


def test_only_the_places_that_the_operator_lists_are_notified(tmp_path: Path) -> None:
    places = "https://hooks.example/csor, http://127.0.0.1:9"
    with served(tmp_path, subscription_endpoints=places) as server:
        for endpoint, status in (
            ("https://hooks.example/csor/new", 201),
            ("https://hooks.example/csor-other", 422),
            ("https://hooks.example/csor/../admin", 422),
            ("https://hooks.example.org/csor/new", 422),
            ("http://hooks.example/csor/new", 422),
            ("http://127.0.0.1:9/x", 201),
            ("http://127.0.0.1:8/x", 422),
        ):
            answer = server.http.post("/Subscription", json=subscription(endpoint, "Rail"))
            assert answer.status_code == status, endpoint


@pytest.mark.postgresql_slow
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_lost_when_the_server_is_killed(
    tmp_path: Path, kind: str, endpoint: Endpoint
) -> None:
    """Each child is told at least once, and in order, whenever the server dies."""
    process = Process(tmp_path, kind)
    process.start()
    try:
        with httpx.Client(base_url=process.base_url, timeout=30) as http:
            made = create(http, subscription(endpoint.url, "Kestrel", payload=JSON))
            wait_for_status(http, made["id"], "active")
            endpoint.delay = 0.01
            names = [f"n{number}" for number in range(60)]
            for number, name in enumerate(names):
                create(http, patient("Kestrel", name))
                if number in (20, 40):
                    process.kill()
                    process.start()
        endpoint.wait_until(lambda: set(names) <= set(given_names(endpoint)), 60)
    finally:
        process.stop()
    told = given_names(endpoint)
    assert list(dict.fromkeys(told)) == names
    assert told == sorted(told, key=names.index)


def test_a_commit_is_told_at_once(server: Served, endpoint: Endpoint) -> None:
    subscribe(server, endpoint, "Merlin")
    taken = []
    for number in range(1, 11):
        time.sleep(0.05)
        create(server.http, patient("Merlin"))
        committed = time.perf_counter()
        taken.append(endpoint.wait_for(number)[-1].moment - committed)
    assert sorted(taken)[5] < 0.5
