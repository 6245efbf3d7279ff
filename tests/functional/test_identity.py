"""A record stays its own child's: numbers are reused, mistyped, and come late."""

from concurrent.futures import ThreadPoolExecutor

import hl7.client
import pytest

from tests.support.server import Served

ODS = "https://fhir.nhs.uk/Id/ods-organization-code"
NHS = "https://fhir.nhs.uk/Id/nhs-number"
MRN = "https://csor.example/fhir/sid/RTH/mrn"


@pytest.fixture(scope="module", autouse=True)
def _hospital(server: Served) -> None:
    body = {
        "resourceType": "Organization",
        "name": "Fictitious",
        "identifier": [{"system": ODS, "value": "RTH"}],
    }
    assert server.http.put(f"/Organization?identifier={ODS}|RTH", json=body).status_code == 201


def adt(event: str, control_id: str, numbers: str, visit: str, *more: str, end: str = "") -> str:
    return "\r".join(
        (
            f"MSH|^~\\&|PAS|RTH|CSOR|CSOR|202001031015||ADT^{event}^ADT_A01|{control_id}|P|2.4",
            f"EVN|{event}|202001031015",
            f"PID|1||{numbers}||Testchild-Rail^Fictitious||20200102|1",
            f"PV1|1|I|RTH^NICU^1||||||||||||||||{visit}^^^VISITID"
            + 25 * "|"
            + f"202001031000|{end}",
            *more,
            "",
        )
    )


def answer(server: Served, message: str) -> tuple[str, str]:
    with hl7.client.MLLPClient("127.0.0.1", server.mllp_port) as client:
        text = client.send_message(message).decode()
    return text.split("MSA|")[1].split("|")[0], text


def total(server: Served, query: str) -> int:
    count: int = server.http.get(f"/{query}&_summary=count").json()["total"]
    return count


DIAGNOSIS = "DG1|1||Q43.1^Hirschsprung's disease^I10||20200103|A"


def test_a_visit_number_used_again_moves_nothing_to_another_child(server: Served) -> None:
    assert answer(server, adt("A01", "I-1", "9990000018^^^NHS", "V-1", DIAGNOSIS))[0] == "AA"
    code, text = answer(server, adt("A01", "I-2", "9990000026^^^NHS", "V-1"))
    assert code == "AE"
    assert "used again" in text
    child = server.http.get(f"/Patient?identifier={NHS}|9990000018").json()["entry"][0]["resource"][
        "id"
    ]
    assert total(server, f"Encounter?patient={child}") == 1


def test_a_national_number_that_comes_late_is_the_same_child_and_case(server: Served) -> None:
    for number, (event, numbers) in enumerate(
        (
            ("A01", "m-1^^^RTH^MR"),
            ("A08", "9990000034^^^NHS~m-1^^^RTH^MR"),
            ("A08", "m-1^^^RTH^MR"),
        )
    ):
        code, text = answer(server, adt(event, f"L-{number}", numbers, "V-2", DIAGNOSIS))
        assert code == "AA", text
    assert total(server, f"Patient?identifier={MRN}|m-1") == 1
    child = server.http.get(f"/Patient?identifier={NHS}|9990000034").json()["entry"][0]["resource"][
        "id"
    ]
    assert total(server, f"EpisodeOfCare?patient={child}") == 1


def test_a_hospital_number_never_gives_a_child_another_national_number(server: Served) -> None:
    assert answer(server, adt("A28", "N-1", "9990000042^^^NHS~m-2^^^RTH^MR", "V-3"))[0] == "AA"
    code, text = answer(server, adt("A28", "N-2", "9990000050^^^NHS~m-2^^^RTH^MR", "V-3"))
    assert code == "AE"
    assert "A40" in text


def test_a_finished_spell_is_not_reopened_by_a_late_message(server: Served) -> None:
    numbers = "9990000069^^^NHS"
    answer(server, adt("A01", "F-1", numbers, "V-4"))
    assert answer(server, adt("A03", "F-2", numbers, "V-4", end="202001091000"))[0] == "AA"
    assert answer(server, adt("A08", "F-3", numbers, "V-4"))[0] == "AA"
    found = server.http.get("/Encounter?identifier=V-4").json()["entry"][0]["resource"]
    assert found["status"] == "finished"


class TestMerges:
    @staticmethod
    def merge(control_id: str, survivor: str, prior: str) -> str:
        return "\r".join(
            (
                f"MSH|^~\\&|PAS|RTH|CSOR|CSOR|202001041015||ADT^A40^ADT_A39|{control_id}|P|2.4",
                "EVN|A40|202001041015",
                f"PID|1||{survivor}^^^RTH^MR||Testchild-Rail^Fictitious||20200102|1",
                f"MRG|{prior}^^^RTH^MR",
                "",
            )
        )

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _records(cls, server: Served) -> None:
        for number in ("a", "b", "c"):
            message = adt("A28", f"M-{number}", f"merge-{number}^^^RTH^MR", f"V-{number}")
            assert answer(server, message)[0] == "AA"

    def test_records_that_replace_each_other_in_a_circle_are_refused(self, server: Served) -> None:
        assert answer(server, self.merge("M-1", "merge-b", "merge-a"))[0] == "AA"
        assert answer(server, self.merge("M-2", "merge-c", "merge-b"))[0] == "AA"
        code, text = answer(server, self.merge("M-3", "merge-a", "merge-c"))
        assert code == "AE", text

    def test_a_record_is_merged_into_one_survivor_only(self, server: Served) -> None:
        answer(server, adt("A28", "M-d", "merge-d^^^RTH^MR", "V-d"))
        code, text = answer(server, self.merge("M-4", "merge-d", "merge-a"))
        assert code == "AE", text

    def test_a_merge_sent_again_changes_nothing(self, server: Served) -> None:
        again = self.merge("M-5", "merge-b", "merge-a")
        assert answer(server, again)[0] == "AA"

    def test_a_cycle_of_links_is_refused_at_the_fhir_door_too(self, server: Served) -> None:
        first = server.http.post("/Patient", json={"resourceType": "Patient"}).json()["id"]
        link = [{"type": "replaced-by", "other": {"reference": f"Patient/{first}"}}]
        second = server.http.post(
            "/Patient", json={"resourceType": "Patient", "link": link}
        ).json()["id"]
        back = [{"type": "replaced-by", "other": {"reference": f"Patient/{second}"}}]
        body = {"resourceType": "Patient", "id": first, "link": back}
        assert server.http.put(f"/Patient/{first}", json=body).status_code == 422


def test_a_burst_about_one_child_is_worked_off_and_none_of_it_refused(server: Served) -> None:
    numbers = "9990000077^^^NHS"
    assert answer(server, adt("A01", "B-0", numbers, "V-9"))[0] == "AA"

    def send(number: int) -> str:
        message = adt("A08", f"B-{number}", numbers, "V-9").replace(
            "Fictitious", f"Fictitious{number}"
        )
        return answer(server, message)[0]

    with ThreadPoolExecutor(40) as senders:
        assert set(senders.map(send, range(1, 61))) == {"AA"}


def test_the_same_message_on_many_connections_is_stored_once(server: Served) -> None:
    message = adt("A01", "B-100", "9990000085^^^NHS", "V-10")
    with ThreadPoolExecutor(20) as senders:
        answers = set(senders.map(lambda _: answer(server, message), range(40)))
    assert {code for code, _ in answers} == {"AA"}
    child = server.http.get(f"/Patient?identifier={NHS}|9990000085").json()["entry"][0]["resource"][
        "id"
    ]
    assert total(server, f"Provenance?target=Patient/{child}") == 1
