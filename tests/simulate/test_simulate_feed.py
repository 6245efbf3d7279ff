"""A hospital's feed: the same bytes every time, in time order, written as the hospital writes."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any

import hl7
import pytest

from fhir_server.simulate import cohort, tables
from fhir_server.simulate.events import LONDON
from fhir_server.simulate.feed import feed, registrations, timeline
from fhir_server.simulate.forms import Form
from fhir_server.simulate.sending import Sending
from fhir_server.simulate.style import escape
from mappings import hl7v2
from r4.issue import FhirError
from terminology import Terminology
from tests.simulate.conftest import UNTIL

CHILDREN = cohort.plan(1, date(2018, 1, 1), 1, 1)
HOSPITALS = {each.ods: each for each in tables.hospitals()}
ALL = tuple(HOSPITALS)
V2 = tuple(ods for ods in ALL if not HOSPITALS[ods].sends_fhir)


def sent(ods: str, forms: dict[str, Form], until: datetime = UNTIL) -> list[Sending]:
    own = [child for child in CHILDREN if child.ods == ods]
    return list(feed(HOSPITALS[ods], own, until, forms, 1))


def segments(message: bytes, name: str) -> Iterator[list[str]]:
    for line in message.decode().split("\r"):
        if line.startswith(name):
            yield line.split("|")


def messages(ods: str, kind: str = "ADT") -> list[bytes]:
    return [
        each.body
        for each in sent(ods, {})
        if each.door == "mllp" and each.kind.startswith(kind) and not each.faulty
    ]


@pytest.mark.parametrize("ods", ALL)
def test_the_same_options_give_the_same_bytes(ods: str, forms: dict[str, Form]) -> None:
    assert sent(ods, forms) == sent(ods, forms)


@pytest.mark.parametrize("ods", V2)
def test_messages_come_in_time_order_with_numbers_of_their_own(ods: str) -> None:
    sound = [each for each in sent(ods, {}) if not each.faulty]
    clocks = [re.sub(r"\D", "", next(segments(each.body, "MSH"))[6])[:12] for each in sound]
    assert clocks == sorted(clocks)
    bodies: dict[str, bytes] = {}
    for each in sound:
        assert bodies.setdefault(each.id, each.body) == each.body
        assert len(each.id) <= 20


def test_every_message_can_be_read_by_another_library() -> None:
    for ods in V2:
        for each in sent(ods, {})[:150]:
            read = hl7.parse(each.body.decode())
            assert str(read.segment("MSH")[10]) == each.id
            assert str(read.segment("MSH")[12]) == "2.4"
            if not each.faulty:
                assert str(read.segment("PID")[5][0][0][0]).startswith("Testchild-")


def test_fields_are_where_the_standard_has_them() -> None:
    read = hl7.parse(messages("RTH", "ADT^A03")[0].decode())
    pid, visit = read.segment("PID"), read.segment("PV1")
    assert re.fullmatch(r"[A-Z]", str(pid[22]))
    assert str(pid[32]) == "NSTS01"
    assert str(visit[2]) == "I"
    assert str(visit[7][0][0]).startswith("C99")
    assert str(visit[19][0][3]) == "VISITID"
    assert (str(visit[36]), str(visit[37])) in {("1", "19"), ("4", "79")}
    assert str(visit[44]) < str(visit[45])


def test_a_death_is_told_in_pid_and_pv1() -> None:
    died = [
        (pid, next(segments(message, "PV1")))
        for message in messages("RQ3", "ADT^A03")
        for pid in segments(message, "PID")
        if len(pid) > 30 and pid[30] == "Y"
    ]
    assert died
    for pid, visit in died:
        assert re.fullmatch(r"\d{12}", pid[29])
        assert visit[36] == "4"


HABITS = {
    "RTH": (
        r"^PID\|1\|\|999\d{7}\^\^\^NHS~\d+\^\^\^RTH\^MR\|",
        r"\|[12]\|\|\|",
        r"ADT\^A01\^ADT_A01",
    ),
    "RHM": (r"^PID\|1\|\|999\d{7}\^\^\^NH~\d+\^\^\^RHM\^MR\|", r"\|[MF]\|\|\|", r"\|ADT\^A01\|"),
    "RGT": (r"^PID\|1\|999\d{7}\|\d+\^\^\^RGT\^MR\|", r"\|[12]\|\|\|", r"ADT\^A01\^ADT_A01"),
    "RQM": (
        r"^MSH\|.*\|ROUTE\|\d{4}-\d\d-\d\d \d\d:\d\d:00\|",
        r"^EVN\|A01\|\d{4}-\d\d-\d\d ",
        r"\^NHS~",
    ),
    "RQ3": (r"^PID\|1\|\|999\d{7}\^06\^\^\^NI~\d+\^\^\^RQ3\^MR\|", r"\|[12]\|\|\|", r"^PV1\|1\|I"),
    "RJ1": (r"^DG1\|1\|\|[PQ]\d{2,3}\^", r"^PID\|1\|\|999\d{7}\^\^\^NHS~", r"\^I10\|"),
    "RBS": (r"^PID\|.*\|2018\d{4}\+\^D\|", r"\^NHS~", r"^DG1\|"),
    "R0A": (r"^PID\|1\|\|999 \d{3} \d{4}\^\^\^NHS~", r"^DG1\|1\|\|(Q\d\d\.\d|P77X)\^", r"^PV1\|"),
    "G513H": (
        r"^PID\|1\|\|999\d{7}\^\^\^CHI~\d+\^\^\^G513H\^MR\|",
        r"\|G513H\|CSOR\|",
        r"^EVN\|A01",
    ),
}


@pytest.mark.parametrize("ods", V2)
def test_each_hospital_has_its_habits(ods: str) -> None:
    for message in messages(ods, "ADT^A01"):
        for habit in HABITS[ods]:
            assert re.search(habit, message.decode().replace("\r", "\n"), re.MULTILINE), habit


def test_procedure_codes_are_dotless_at_one_hospital_only() -> None:
    for ods in V2:
        shown = [pr1[3] for message in messages(ods) for pr1 in segments(message, "PR1")]
        assert shown
        for code in shown:
            assert ("." in code.split("^")[0]) == (ods != "RJ1")


@pytest.mark.parametrize(("ods", "kind"), [("RTH", "ADT^A08"), ("RHM", "ADT^A03")])
def test_operations_are_told_at_operation_or_at_discharge(ods: str, kind: str) -> None:
    for message in messages(ods):
        told = next(segments(message, "MSH"))[8].startswith(kind)
        assert told or not list(segments(message, "PR1"))


def test_case_mix_is_sent_as_coded_observations() -> None:
    message = messages("RTH", "ORU")[0].decode()
    assert re.search(r"OBX\|1\|NM\|412726003\^[^|]+\^SCT\|\|\d\d\|wk\^week\^UCUM", message)
    assert re.search(r"OBX\|2\|NM\|364589006\^[^|]+\^SCT\|\|\d+\|g\^gram\^UCUM", message)


def test_separators_in_a_text_are_escaped() -> None:
    assert escape("a|b^c&d~e\\f") == r"a\F\b\S\c\T\d\R\e\E\f"


def test_some_messages_are_sent_twice_and_some_are_faulty(forms: dict[str, Form]) -> None:
    everything = [each for ods in ALL for each in sent(ods, forms)]
    twice = sum(one == other for one, other in pairwise(everything)) / len(everything)
    faulty = sum(each.faulty for each in everything) / len(everything)
    assert 0.005 < twice < 0.015
    assert 0.002 < faulty < 0.009


def test_faulty_messages_can_be_told_by_their_fault() -> None:
    found = set()
    for ods in V2:
        for each in sent(ods, {}):
            if each.faulty:
                found.add(fault(ods, each.body.decode()))
    assert found == {"number", "hospital", "patient", "type", "birth"}


def fault(ods: str, text: str) -> str:
    if f"|{ods}|CSOR|" not in text:
        return "hospital"
    if "\rPID|" not in text:
        return "patient"
    if "|ADT^A99|" in text:
        return "type"
    return "birth" if "|20181345|" in text else "number"


class TestTransactions:
    def test_every_reference_is_conditional_or_within_the_bundle(self) -> None:
        for bundle in self.bundles():
            urls = {entry["fullUrl"] for entry in bundle["entry"]}
            for reference in re.findall(r'"reference": "([^"]+)"', json.dumps(bundle)):
                assert reference in urls or re.match(
                    r"[A-Z][A-Za-z]+\?identifier=https://", reference
                )

    def test_every_request_can_be_repeated(self) -> None:
        for bundle in self.bundles():
            assert bundle["type"] == "transaction"
            for entry in bundle["entry"]:
                request, resource = entry["request"], entry["resource"]
                identifier = resource["identifier"][0]
                criteria = f"identifier={identifier['system']}|{identifier['value']}"
                if request["method"] == "PUT":
                    assert request["url"] == f"{resource['resourceType']}?{criteria}"
                else:
                    assert (request["url"], request["ifNoneExist"]) == (
                        resource["resourceType"],
                        criteria,
                    )

    def test_every_child_with_a_stay_has_a_case(self) -> None:
        entries = [entry["resource"] for bundle in self.bundles() for entry in bundle["entry"]]
        cases = {
            each["identifier"][0]["value"]
            for each in entries
            if each["resourceType"] == "EpisodeOfCare"
        }
        own = [child for child in CHILDREN if child.ods == "RP4"]
        assert cases == {f"{child.number}.{child.condition}" for child in own}

    def test_no_internal_extension_is_used(self) -> None:
        assert "csor.example/fhir/StructureDefinition" not in json.dumps(self.bundles())

    def test_the_dead_stay_dead(self) -> None:
        dead: set[str] = set()
        for bundle in self.bundles():
            for resource in (entry["resource"] for entry in bundle["entry"]):
                if resource["resourceType"] == "Patient":
                    number = resource["identifier"][0]["value"]
                    assert number not in dead or "deceasedDateTime" in resource
                    if "deceasedDateTime" in resource:
                        dead.add(number)
        assert dead

    @staticmethod
    def bundles() -> list[dict]:
        return [
            json.loads(each.body)
            for each in sent("RP4", {})
            if each.kind == "Bundle" and not each.faulty
        ]


def test_the_last_day_of_follow_up_ends_the_feed() -> None:
    end = datetime(2018, 6, 30, 23, 59, tzinfo=LONDON)
    assert max(event.at for event in timeline(CHILDREN, end)) <= end
    assert len(list(timeline(CHILDREN, end))) < len(list(timeline(CHILDREN, UNTIL)))


def test_a_feed_merges_its_children_without_holding_them_all() -> None:
    events = timeline(CHILDREN, UNTIL)
    seen = next(events).at
    for event in events:
        assert event.at >= seen - timedelta(0)
        seen = event.at


def test_a_hospital_registers_itself_and_its_surgeons_first() -> None:
    organization, practitioners = registrations(HOSPITALS["RTH"])
    assert organization.method == "PUT"
    assert organization.path.endswith("ods-organization-code|RTH")
    assert json.loads(organization.body)["name"] == "Simulated hospital A"
    assert len(json.loads(practitioners.body)["entry"]) == 3


def test_without_its_form_a_note_is_left_out(forms: dict[str, Form]) -> None:
    kinds = {each.path for each in sent("RTH", {}) if each.door == "http"}
    assert kinds == set()
    assert "QuestionnaireResponse/$sign" in {each.path for each in sent("RTH", forms)}


@pytest.fixture(scope="module")
def take() -> Callable[[bytes], dict[str, Any]]:
    """The registry's own mapping, which is another's work."""
    context = hl7v2.MappingContext(Terminology.load())
    return lambda body: hl7v2.to_bundle(hl7v2.parse(body), context)


@pytest.mark.parametrize("ods", V2)
def test_every_sound_message_maps_to_a_transaction(
    take: Callable[[bytes], dict[str, Any]], ods: str
) -> None:
    for each in sent(ods, {}):
        if not each.faulty:
            bundle = take(each.body)
            assert bundle["type"] == "transaction"
            assert bundle["entry"]


def test_what_is_wrong_with_a_message_alone_is_refused(
    take: Callable[[bytes], dict[str, Any]],
) -> None:
    """An unknown hospital is known as such only by a registry that holds its hospitals."""
    for ods in V2:
        for each in sent(ods, {}):
            if each.faulty and fault(ods, each.body.decode()) != "hospital":
                with pytest.raises(FhirError):
                    take(each.body)


def test_what_a_hospital_tells_of_outcomes_arrives_as_the_registry_names_it(
    take: Callable[[bytes], dict[str, Any]],
) -> None:
    observations = [
        entry["resource"]
        for ods in V2
        for message in messages(ods, "ORU")
        for entry in take(message)["entry"]
        if entry["resource"]["resourceType"] == "Observation"
    ]
    kinds = {
        observation["code"]["coding"][0]["code"]: next(
            key for key in observation if key.startswith("value")
        )
        for observation in observations
    }
    assert kinds == {
        "412726003": "valueQuantity",
        "364589006": "valueQuantity",
        "haec-episode": "valueBoolean",
        "haec-score": "valueInteger",
        "faecal-incontinence": "valueCodeableConcept",
        "urinary-incontinence": "valueCodeableConcept",
        "voluntary-bowel-movements": "valueBoolean",
        "permanent-stoma": "valueBoolean",
    }
    grades = {
        observation["valueCodeableConcept"]["coding"][0]["system"]
        for observation in observations
        if "valueCodeableConcept" in observation
    }
    assert grades == {tables.system("outcome-grade")}
