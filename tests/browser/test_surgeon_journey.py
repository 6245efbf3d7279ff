"""A surgeon opens a note from the EPR and signs it by keyboard alone; nothing is left in the browser.

An interaction is one control changed, one button pressed, or one field typed into. Tab, the arrows that
move within a group of options, and what is saved by itself are none.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from terminology.systems import CSOR, GMC_NUMBER
from tests.browser.conftest import Run
from tests.support import notes
from tests.support.epr import Epr, opened, registered
from tests.support.epr_chart import GMC
from tests.support.server import Served, served

pytestmark = pytest.mark.slow

FORM = f"{CSOR}/Questionnaire/operative-note-hirschsprung"
CONTEXT = [
    {"reference": "ServiceRequest/order"},
    {"canonical": FORM, "type": "Questionnaire"},
]
TECHNIQUE = [
    ("choose", "Type of pull-through", "Soave (endorectal)"),
    (
        "choose",
        "OPCS-4 code of the procedure",
        "Peranal mucosal proctectomy and endoanal anastomosis",
    ),
    ("choose", "Approach", "Transanal only"),
    ("choose", "Anaesthetic", "General with a regional or caudal block"),
    ("tick", "Incisions", "No abdominal incision"),
    ("choose", "Start of the rectal dissection", "Not measured"),
    ("choose", "Muscle cuff", "Short (less than 2 to 3 cm)"),
    ("choose", "Was the cuff split?", "Yes"),
    ("choose", "Splenic flexure", "Not mobilised"),
    ("choose", "Anastomosis", "Hand-sewn"),
    ("tick", "Closure", "No wound to close"),
]
THIS_CHILD = [
    ("choose", "Stage", "Primary, without a stoma before"),
    ("choose", "Consent", "Given by a person with parental responsibility"),
    ("choose", "WHO checklist", "Used fully"),
    ("choose", "Swab, needle and instrument counts", "Correct"),
    ("choose", "Antibiotic prophylaxis", "Given"),
    ("type", "Which antibiotic, and when?", "Fictitious antibiotic, at induction"),
    ("tick", "Prophylaxis of venous thromboembolism", "Not indicated"),
    ("type", "Operative findings", "Fictitious findings, for demonstration only."),
    ("choose", "Frozen sections", "Sent"),
    ("type", "Site of the biopsy", "Mid sigmoid"),
    ("choose", "Result", "Ganglion cells, normal bowel"),
    ("choose", "Operative diagnosis", "Hirschsprung's disease"),
    ("choose", "How far up the bowel does aganglionosis go?", "Rectosigmoid"),
    ("choose", "Where is the transition zone?", "Rectosigmoid"),
    ("type", "Length of bowel resected (cm; 0 if none)", "18.5"),
    ("choose", "Proximal doughnut for histology", "Sent, full circumference"),
    ("type", "Height of the anastomosis above the dentate line (cm)", "1"),
    ("choose", "Covering stoma", "None"),
    ("choose", "Any extra procedure?", "None"),
    ("tick", "Problems or complications during the operation", "None"),
    ("type", "Blood loss (mL; 0 if none)", "5"),
    ("choose", "Implants or prostheses", "None"),
    ("type", "Instructions after the operation", "Fictitious instructions."),
]
SOON = 3000
"""Milliseconds from asking for the answers until the form with them is drawn, carry-over among them:
three times what is aimed at, for the machine may be busy."""
MOST = 25
"""The interactions that a typical note may need, its signature among them."""


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[tuple[Served, Epr]]:
    """A registry that knows the hospital, and an EPR that may launch its pages."""
    with (
        opened(Epr()) as epr,
        served(tmp_path, epr_servers=registered(epr, tmp_path / "eprs.toml"), mllp=False) as server,
    ):
        epr.redirects.add(f"{_root(server)}/callback")
        notes.registered(server)
        yield server, epr


def test_a_typical_note_is_signed_by_keyboard_alone(
    drive: Run, registry: tuple[Served, Epr]
) -> None:
    server = registry[0]
    _earlier_note(server)
    seen = _written(drive, registry, [("press", "Confirm the marked answers", ""), *THIS_CHILD])
    print(f"{len(seen['interactions'])} interactions; milliseconds to the form: {seen['shown']}")
    assert len(seen["interactions"]) <= MOST
    assert seen["shown"]["populated"] < SOON
    assert seen["copied"] == "The hospital’s system has a copy."
    assert seen["axe"] == []
    assert seen["errors"] == []
    assert seen["foreign"] == []
    assert seen["stored"] == []
    assert seen["kept"] == {"local": [], "session": []}
    assert seen["printed"] == {"status": 200, "type": "application/pdf"}
    assert "Testchild" not in seen["left"]
    _is_signed(server, seen["pdf"].split("/")[3])


def test_a_surgeons_first_note_has_nothing_carried_over(
    drive: Run, registry: tuple[Served, Epr]
) -> None:
    registry[1].faults["write"] = [422]
    seen = _written(drive, registry, [*TECHNIQUE, *THIS_CHILD], screenshots=None)
    assert len(seen["interactions"]) == len(TECHNIQUE) + len(THIS_CHILD) + 1
    assert "did not take a copy" in seen["copied"]
    assert seen["axe"] == []
    _is_signed(registry[0], seen["pdf"].split("/")[3])


def _root(server: Served) -> str:
    return server.base_url.removesuffix("/fhir")


def _written(
    drive: Run,
    registry: tuple[Served, Epr],
    answers: list[tuple[str, str, str]],
    **more: None,
) -> dict[str, Any]:
    server, epr = registry
    return drive(
        "surgeon.mjs",
        {
            "start": epr.launch(_root(server), context=CONTEXT),
            "origins": [_root(server), epr.base_url],
            "answers": [{"how": h, "question": q, "value": v} for h, q, v in answers],
            **more,
        },
    )


def _earlier_note(server: Served) -> None:
    """Sign a note by the EPR's surgeon about another child."""
    surgeon = {
        "resourceType": "Practitioner",
        "identifier": [{"system": GMC_NUMBER, "value": GMC}],
        "name": [{"prefix": ["Ms"], "given": ["Sana"], "family": "Demo-Surgeon"}],
    }
    known = server.http.post("/Practitioner", json=surgeon)
    author = {"reference": f"Practitioner/{known.json()['id']}"}
    note = notes.stored(server, notes.draft(server, "typical", author=author))
    assert notes.sign(server, note).status_code == 200


def _is_signed(server: Served, composition_id: str) -> None:
    """The case, the Procedure, the document and the Provenance of the note exist."""
    composition = server.http.get(f"/Composition/{composition_id}").json()
    assert composition["status"] == "final"
    child = {"patient": composition["subject"]["reference"]}
    for kind, status in (("EpisodeOfCare", "active"), ("Procedure", "completed")):
        [entry] = server.http.get(f"/{kind}", params=child).json()["entry"]
        assert entry["resource"]["status"] == status
    [entry] = server.http.get("/QuestionnaireResponse", params=child).json()["entry"]
    assert entry["resource"]["status"] == "completed"
    target = {"target": f"Composition/{composition_id}"}
    assert server.http.get("/Provenance", params=target).json()["entry"]
    document = server.http.get(f"/Composition/{composition_id}/$document").json()
    assert document["type"] == "document"
    assert document["signature"]["sigFormat"] == "application/jose"
