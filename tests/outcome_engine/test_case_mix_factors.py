"""Only what is known before treatment is adjusted for; anything else is refused by name."""

import pytest

from outcome_engine.case_mix.factors import BASELINE, CASE_MIX, REFUSED, refusal, require_baseline
from r4 import artefacts
from r4.issue import FhirError

KNOWN = ("before-treatment", "at-operation", "after-treatment")


def _concepts():
    return artefacts.by_url("terminology", "CodeSystem")[CASE_MIX]["concept"]


def test_every_code_of_case_mix_says_when_it_is_known_and_by_what_source():
    for concept in _concepts():
        said = {each["code"]: each for each in concept["property"]}
        assert said["known"]["valueCode"] in KNOWN, concept["code"]
        assert said["known-by"]["valueString"].endswith("."), concept["code"]


def test_a_code_is_accepted_exactly_where_it_is_known_before_treatment():
    for concept in _concepts():
        known = next(each["valueCode"] for each in concept["property"] if each["code"] == "known")
        assert (refusal(concept["code"]) is None) == (known == "before-treatment")


@pytest.mark.parametrize("factor", ["spitz-group", "gastroschisis-prognostic-score", *BASELINE])
def test_a_baseline_factor_is_accepted(factor):
    require_baseline([factor])


@pytest.mark.parametrize(
    ("factor", "reason"),
    [
        ("patch", "it is treatment"),
        ("silo", "it is treatment"),
        ("stoma", "it is treatment"),
        ("clip-and-drop", "it is treatment"),
        ("parenteral-nutrition-duration", "it is treatment"),
        ("nadir-creatinine", "after the bladder has been drained"),
        ("inotropes-before-operation", "treatment by the hospital that is compared"),
        ("diaphragmatic-defect-size", "found at the operation"),
        ("aganglionic-segment", "found at the operation"),
        ("ethnicity", "not adjusted away without a decision"),
        ("hospital", "what is compared"),
        ("shoe-size", "nothing says that it is known before treatment"),
    ],
)
def test_any_other_is_refused_by_name_with_the_reason(factor, reason):
    with pytest.raises(FhirError) as refused:
        require_baseline(["gestation", factor])
    (issue,) = refused.value.issues
    assert refused.value.status == 422
    assert issue.rule == "case-mix-baseline"
    assert f"`{factor}` is refused" in issue.diagnostics
    assert reason in issue.diagnostics


def test_every_factor_that_is_refused_is_named_in_one_answer():
    with pytest.raises(FhirError) as refused:
        require_baseline(["patch", "sex", "silo"])
    assert len(refused.value.issues) == 2


def test_the_lists_do_not_overlap():
    codes = {concept["code"] for concept in _concepts()}
    assert not codes & (set(BASELINE) | set(REFUSED))
    assert not set(BASELINE) & set(REFUSED)
