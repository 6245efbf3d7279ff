"""An operator's licensed module takes the slot in the surveys, or stops the start with what is wrong."""

import json
from pathlib import Path
from typing import Any

import pytest

from fhir_server.operations.quality_of_life import SLOT, forms
from questionnaires import forms as ours
from questionnaires import module

NOW = "2026-11-23T20:15:00Z"


def written(folder: Path, **more: Any) -> Path:
    own = module(SLOT)
    assert own is not None
    asked = {"linkId": "licensed-1", "text": "Licensed question", "type": "boolean"}
    page = {**own["item"][0], "item": [asked]}
    file = folder / "module.json"
    file.write_text(json.dumps({**own, "version": "7.0.0", "item": [page], **more}))
    return file


def test_without_a_file_the_forms_are_ours() -> None:
    assert forms(None, NOW) == ours()


def test_the_module_is_asked_in_the_surveys(tmp_path: Path) -> None:
    found = forms(written(tmp_path), NOW)
    survey = found["https://csor.example/fhir/Questionnaire/parent-survey-gastroschisis"]
    [page] = [each for each in survey["item"] if each["linkId"] == "quality"]
    assert [each["text"] for each in page["item"]] == ["Licensed question"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"resourceType": "ValueSet"}, "no Questionnaire"),
        ({"url": "https://csor.example/fhir/Questionnaire/another"}, "url"),
        ({"status": "perhaps"}, "status"),
        ({"item": [{"linkId": "feeding", "text": "Again", "type": "boolean"}]}, "feeding"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, more: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=rf"module\.json.*{said}"):
        forms(written(tmp_path, **more), NOW)


def test_what_is_no_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "module.json").write_text("{")
    with pytest.raises(ValueError, match=r"module\.json"):
        forms(tmp_path / "module.json", NOW)
