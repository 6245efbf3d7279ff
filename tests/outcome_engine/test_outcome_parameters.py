"""The Treatment Success Score is refused, by name, until its parameters are there and signed.

Every value in this file is fictitious: the true ones are not known here.
"""

from collections.abc import Callable
from copy import deepcopy
from fractions import Fraction

import pytest

import outcome_engine
from outcome_engine import Period
from outcome_engine.methods.treatment_success import score
from outcome_engine.parameter_file import Parameters, accept, digest, refuse_without_parameters
from r4.issue import FhirError
from r4.json import decode, encode

TSS = "https://csor.example/fhir/Measure/treatment-success-score"
NAME = "treatment-success-score.json"
FICTITIOUS = {
    "measure": f"{TSS}|0.1.0",
    "version": "0.0.1",
    "fictitious": True,
    "parameters": {
        "stakeholder-group": "public",
        "attributes": [
            {"name": "a", "form": "linear", "coefficients": {"each": -1}},
            {"name": "b", "form": "categorical", "coefficients": {"some": -2}},
        ],
        "covariance": [[1, 0], [0, 1]],
        "anchors": {"best": 4, "palliation": -4},
        "survival-horizon": {"years": 1},
        "quality-of-life-scaling": {"instrument": "none", "rule": "none"},
        "minor-major-definition": "none",
        "missing-data-rule": "none",
        "cut-points": [0, 1],
    },
    "checks": [{"utility": 4, "score": "1"}, {"utility": 1, "score": "5/8"}],
}


def measure():
    return outcome_engine.measures()[TSS]


def signed(change: Callable[[dict], object] = lambda _: None):
    file = deepcopy(FICTITIOUS)
    change(file)
    signature = {"reviewer": "Nobody", "role": "test", "signed-on": "2026-11-22"}
    # The digest is that of the file as it will be read.
    return file | {"signature": signature | {"digest": digest(decode(encode(file)))}}


def refusal(content):
    with pytest.raises(FhirError) as caught:
        accept(measure(), NAME, content)
    assert caught.value.status == 422
    return caught.value.issues


def test_the_shipped_file_is_absent_and_each_parameter_is_named(record, terminology):
    with pytest.raises(FhirError) as caught:
        outcome_engine.assess(TSS, record("good"), "2024-06-30", terminology)
    assert caught.value.status == 422
    assert {issue.code for issue in caught.value.issues} == {"not-supported"}
    first, *others = [issue.diagnostics for issue in caught.value.issues]
    assert NAME in first
    assert "absent" in first
    for name in FICTITIOUS["parameters"]:
        assert any(f"`{name}`" in message for message in others), name
    assert len(others) == len(FICTITIOUS["parameters"])


def test_only_that_measure_is_refused(record, terminology, core):
    assert outcome_engine.assess(core, record("good"), "2024-06-30", terminology)
    with pytest.raises(FhirError, match="absent"):
        outcome_engine.summary_report(
            TSS,
            [],
            hospital=None,
            period=Period("2018-01-01", "2018-12-31"),
            reporter={"display": "CSOR registry"},
            now="2024-07-01T09:00:00Z",
        )


def test_the_measure_names_the_parameters_that_the_file_must_hold():
    named = {name.replace("_", "-") for name in Parameters.model_fields}
    assert named == set(FICTITIOUS["parameters"])
    messages = " ".join(issue.diagnostics for issue in refusal(None))
    assert all(f"`{name}`" in messages for name in named)


def test_a_complete_signed_file_is_accepted():
    file = accept(measure(), NAME, encode(signed()))
    assert file.fictitious
    assert file.signature.reviewer == "Nobody"


def test_an_accepted_file_still_gives_no_score(monkeypatch):
    monkeypatch.setattr("outcome_engine.parameter_file._packaged", lambda _: encode(signed()))
    with pytest.raises(FhirError, match="deriving a child's attributes") as caught:
        refuse_without_parameters(measure())
    assert [issue.code for issue in caught.value.issues] == ["not-supported"]


@pytest.mark.parametrize("name", sorted(FICTITIOUS["parameters"]))
def test_a_missing_parameter_is_named_with_its_meaning(name):
    (issue,) = refusal(encode(signed(lambda file: file["parameters"].pop(name))))
    assert f"`parameters.{name}`" in issue.diagnostics
    assert issue.code == "business-rule"
    assert issue.diagnostics.endswith(")")


@pytest.mark.parametrize("member", ["measure", "version", "fictitious", "checks", "signature"])
def test_a_missing_member_is_named(member):
    file = signed()
    del file[member]
    assert f"`{member}`" in refusal(encode(file))[0].diagnostics


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file["parameters"]["covariance"].pop(), "2 x 2"),
        (lambda file: file["parameters"]["covariance"][0].__setitem__(1, 5), "symmetric"),
        (lambda file: file["parameters"].update({"cut-points": [1, 0]}), "ascend"),
        (lambda file: file["parameters"]["anchors"].update(best=-5), "greater utility"),
        (lambda file: file.update(fictitious="no"), "fictitious"),
        (lambda file: file.update(measure=f"{TSS}|9.9.9"), "is for measure"),
        (lambda file: file["checks"][1].update(score="0.6"), "5/8 is computed"),
        (lambda file: file.update(extra=1), "extra"),
    ],
)
def test_an_inconsistent_file_is_refused(change, message):
    assert message in refusal(encode(signed(change)))[0].diagnostics


def test_a_file_changed_after_it_was_signed_is_refused():
    file = signed()
    file["parameters"]["cut-points"] = [0, 2]
    (issue,) = refusal(encode(file))
    assert "changed after it was signed" in issue.diagnostics


def test_the_order_of_members_does_not_break_a_signature():
    file = signed()
    assert accept(measure(), NAME, encode(dict(reversed(file.items()))))


def test_text_that_is_no_json_is_refused():
    assert "not JSON" in refusal(b"{")[0].diagnostics


def test_the_scale_is_1_at_the_best_outcome_0_at_palliation_and_below_when_worse():
    best, palliation = Fraction(7, 3), Fraction(-2, 3)
    assert score(best, best, palliation) == 1
    assert score(palliation, best, palliation) == 0
    assert score(Fraction(-11, 3), best, palliation) == -1


def test_there_is_no_scale_unless_the_best_outcome_is_preferred():
    with pytest.raises(ValueError, match="greater utility"):
        score(Fraction(1), Fraction(0), Fraction(0))
