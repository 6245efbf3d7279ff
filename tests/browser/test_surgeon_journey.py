"""A surgeon opens a note from the EPR and signs it by keyboard alone; nothing is left in the browser.

An interaction is one control changed, one button pressed, or one field typed into. Tab, the arrows that
move within a group of options, and what is saved by itself are none.
"""

from pathlib import Path
from typing import Any

import pytest

from terminology.systems import CSOR, ODS_ORGANIZATION
from tests.browser.conftest import Run
from tests.support.epr import Epr, opened, registered
from tests.support.epr_chart import HOSPITAL
from tests.support.server import Served, served

pytestmark = pytest.mark.slow

FORM = f"{CSOR}/Questionnaire/operative-note-hirschsprung"
CONTEXT = [
    {"reference": "ServiceRequest/order"},
    {"canonical": FORM, "type": "Questionnaire"},
]
HOSPITAL_HERE = {
    "resourceType": "Organization",
    "active": True,
    "identifier": [{"system": ODS_ORGANIZATION, "value": HOSPITAL}],
    "name": "Demo Children's Hospital",
}
ANSWERS = [
    ("choose", "Type of pull-through", "Soave (endorectal)"),
    (
        "choose",
        "OPCS-4 code of the procedure",
        "Peranal mucosal proctectomy and endoanal anastomosis",
    ),
    ("choose", "Approach", "Transanal only"),
    ("choose", "Stage", "Primary, without a stoma before"),
    ("choose", "Anaesthetic", "General with a regional or caudal block"),
    ("choose", "Consent", "Given by a person with parental responsibility"),
    ("choose", "WHO checklist", "Used fully"),
    ("choose", "Swab, needle and instrument counts", "Correct"),
    ("choose", "Antibiotic prophylaxis", "Given"),
    ("type", "Which antibiotic, and when?", "Co-amoxiclav at induction"),
    ("tick", "Prophylaxis of venous thromboembolism", "Not indicated"),
    (
        "type",
        "Operative findings",
        "Transition zone in the sigmoid colon. Well perfused, no tension.",
    ),
    ("choose", "Frozen sections", "Sent"),
    ("type", "Site of the biopsy", "20 cm above the dentate line"),
    ("choose", "Result", "Ganglion cells, normal bowel"),
    ("choose", "Operative diagnosis", "Hirschsprung's disease"),
    ("choose", "How far up the bowel does aganglionosis go?", "Rectosigmoid"),
    ("choose", "Where is the transition zone?", "Rectosigmoid"),
    ("tick", "Incisions", "No abdominal incision"),
    ("choose", "Start of the rectal dissection", "Not measured"),
    ("choose", "Muscle cuff", "Short (less than 2 to 3 cm)"),
    ("choose", "Was the cuff split?", "Yes"),
    ("choose", "Splenic flexure", "Not mobilised"),
    ("type", "Length of bowel resected (cm; 0 if none)", "22"),
    ("choose", "Proximal doughnut for histology", "Sent, full circumference"),
    ("choose", "Anastomosis", "Hand-sewn"),
    ("type", "Height of the anastomosis above the dentate line (cm)", "1"),
    ("choose", "Covering stoma", "None"),
    ("choose", "Any extra procedure?", "None"),
    ("tick", "Closure", "No wound to close"),
    ("tick", "Problems or complications during the operation", "None"),
    ("type", "Blood loss (mL; 0 if none)", "15"),
    ("choose", "Implants or prostheses", "None"),
    ("type", "Instructions after the operation", "Feed when awake. Nothing per rectum."),
]


def test_a_note_is_signed_by_keyboard_alone(drive: Run, tmp_path: Path) -> None:
    with (
        opened(Epr()) as epr,
        served(tmp_path, epr_servers=registered(epr, tmp_path / "eprs.toml"), mllp=False) as server,
    ):
        root = server.base_url.removesuffix("/fhir")
        epr.redirects.add(f"{root}/callback")
        server.http.post("/Organization", json=HOSPITAL_HERE).raise_for_status()
        seen = drive(
            "surgeon.mjs",
            {
                "start": epr.launch(root, context=CONTEXT),
                "origins": [root, epr.base_url],
                "answers": [{"how": h, "question": q, "value": v} for h, q, v in ANSWERS],
            },
        )
        _is_signed(server)
    print(f"{len(seen['interactions'])} interactions; shown after {seen['shownAfter']} ms")
    assert seen["axe"] == []
    assert seen["errors"] == []
    assert seen["foreign"] == []
    assert seen["stored"] == []
    assert seen["kept"] == {"local": [], "session": []}
    assert seen["printed"] == {"status": 200, "type": "application/pdf"}
    assert "Testchild" not in seen["left"]


def _is_signed(server: Served) -> None:
    def only(kind: str) -> dict[str, Any]:
        [entry] = server.http.get(f"/{kind}").json()["entry"]
        found: dict[str, Any] = entry["resource"]
        return found

    note = only("QuestionnaireResponse")
    assert note["status"] == "completed"
    assert only("EpisodeOfCare")["status"] == "active"
    assert only("Procedure")["status"] == "completed"
    composition = only("Composition")
    assert composition["status"] == "final"
    [document] = [
        entry["resource"]
        for entry in server.http.get("/Bundle", params={"type": "document"}).json()["entry"]
    ]
    assert document["signature"]["sigFormat"] == "application/jose"
    about = server.http.get("/Provenance", params={"target": f"Composition/{composition['id']}"})
    assert about.json()["total"] >= 1
