"""A draft outlives a network that is gone for a while, and a change made elsewhere at the same time."""

import json
from pathlib import Path
from typing import Any

import pytest

from terminology.systems import CSOR
from tests.browser.conftest import Run
from tests.support import notes
from tests.support.epr import Epr, opened, registered
from tests.support.server import served

pytestmark = pytest.mark.slow

FORM = f"{CSOR}/Questionnaire/operative-note-hirschsprung"
CONTEXT = [
    {"reference": "ServiceRequest/order"},
    {"canonical": FORM, "type": "Questionnaire"},
]


def _answers(response: str) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}

    def visit(items: list[dict[str, Any]]) -> None:
        for item in items:
            if "answer" in item:
                found[item["linkId"]] = item["answer"]
            visit(item.get("item", []))

    visit(json.loads(response)["item"])
    return found


def test_nothing_is_lost_offline_or_in_a_conflict(drive: Run, tmp_path: Path) -> None:
    with (
        opened(Epr()) as epr,
        served(tmp_path, epr_servers=registered(epr, tmp_path / "eprs.toml"), mllp=False) as server,
    ):
        root = server.base_url.removesuffix("/fhir")
        epr.redirects.add(f"{root}/callback")
        notes.registered(server)
        start = epr.launch(root, context=CONTEXT)
        seen = drive("keeping.mjs", {"start": start, "root": root, "origins": [root, epr.base_url]})

    assert seen["begun"] == {"posts": 2, "drafts": 1}
    assert "your answers are kept in this window" in seen["offline"]
    assert "blood-loss-ml" not in _answers(seen["whileOffline"])
    kept = _answers(seen["afterwards"])
    assert kept["blood-loss-ml"] == [{"valueInteger": 40}]
    assert kept["urgency"][0]["valueCoding"]["display"] == "Emergency"

    assert seen["other"] == 200
    assert "Nothing is lost" in seen["conflict"]
    assert "55" in seen["conflict"]
    assert "Emergency" in seen["conflict"]
    settled = _answers(seen["settled"])
    assert settled["blood-loss-ml"] == [{"valueInteger": 55}]
    assert "urgency" not in settled
    assert (seen["blood"], seen["emergency"]) == ("55", False)
    assert seen["axe"] == []
    assert seen["errors"] == []
    assert seen["stored"] == []
