"""A bill that follows an admission over MLLP tells of the same stay, not of another one."""

import pytest

from tests.functional.test_hl7v2 import HOSPITAL, NHS, ODS, admission, msa, one, send
from tests.support.server import Served

NUMBER = "9990000115"
PR1 = "PR1|1||H41.1^Rectosigmoidectomy^OPCS4||202001041330"
DG1 = "DG1|1||Q43.1^Hirschsprung's disease^I10||20200103|F"


@pytest.fixture(scope="module", autouse=True)
def _hospital(server: Served) -> None:
    server.http.put(f"/Organization?identifier={ODS}|RTH", json=HOSPITAL).raise_for_status()


def bill(kind: str, control_id: str, *segments: str) -> str:
    lines = admission(control_id, NUMBER).replace("||AL|NE", "||").split("\r")
    event = kind.partition("^")[2]
    msh = lines[0].replace("ADT^A01^ADT_A01", kind)
    return "\r".join((msh, f"EVN|{event}|20200106", lines[2], lines[3], *segments, ""))


def test_one_stay_one_diagnosis_one_operation_one_case(server: Served) -> None:
    sent = [
        admission("C-1", NUMBER),
        *(bill("DFT^P03", "C-2", "FT1|1|||20200104||CG|T", PR1, DG1),) * 2,
        *(bill("BAR^P05", "C-3", DG1, PR1, "IN1|1|NHS|1"),) * 2,
        *(bill("BAR^P12", "C-4", DG1, PR1).replace("|2.4|", "|2.5|"),) * 2,
        bill("BAR^P01", "C-5"),
    ]
    assert [msa(answer)[1] for answer in send(server, *sent)] == ["AA"] * len(sent)
    child = one(server, f"Patient?identifier={NHS}|{NUMBER}")["id"]
    stay = one(server, f"Encounter?patient={child}")
    assert (stay["status"], stay["meta"]["versionId"]) == ("in-progress", "1")
    condition = one(server, f"Condition?patient={child}")
    assert condition["code"]["coding"][0]["code"] == "Q43.1"
    operation = one(server, f"Procedure?patient={child}")
    assert operation["encounter"]["reference"] == f"Encounter/{stay['id']}"
    assert one(server, f"EpisodeOfCare?patient={child}")["status"] == "active"
