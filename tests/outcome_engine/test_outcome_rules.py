"""What makes a child's outcome good, bad or not yet known: the rules, one by one.

Each test changes one fact of a golden record.
"""

import pytest

from r4.issue import FhirError

GOOD = "good"


def finding(outcome, rule):
    return next(each for each in outcome.findings if each.rule.id == rule)


def procedure(id, code, when, system="https://fhir.hl7.org.uk/CodeSystem/OPCS-4"):
    return {
        "resourceType": "Procedure",
        "id": id,
        "status": "completed",
        "code": {"coding": [{"system": system, "code": code}]},
        "subject": {"reference": "Patient/child"},
        "performedDateTime": when,
    }


def test_good_needs_every_core_outcome_known_and_not_met(record, assess):
    outcome = assess(record(GOOD))
    assert outcome.outcome_class == "good"
    assert {each.status for each in outcome.findings} == {"not-met"}
    assert outcome.decided_by.id == "every-outcome-known"
    assert outcome.index_date == "2018-04-10"


@pytest.mark.parametrize(
    ("observation", "rule"),
    [
        ("faecal-continence", "faecal-incontinence"),
        ("bowel-movements", "voluntary-bowel-movements"),
        ("urinary-continence", "urinary-incontinence"),
        ("stoma", "permanent-stoma"),
    ],
)
def test_one_unknown_outcome_is_enough_for_not_yet_known(record, assess, observation, rule):
    outcome = assess([each for each in record(GOOD) if each["id"] != observation])
    assert outcome.outcome_class == "not-yet-known"
    assert outcome.reason == "information-missing"
    assert [each.rule.id for each in outcome.findings if each.status == "unknown"] == [rule]
    assert finding(outcome, rule).rule.missing in outcome.statement


@pytest.mark.parametrize(
    ("observation", "grade", "rule"),
    [
        ("faecal-continence", "grade-1", "faecal-incontinence"),
        ("faecal-continence", "grade-3", "faecal-incontinence"),
        ("urinary-continence", "constant", "urinary-incontinence"),
        ("urinary-continence", "socially-problematic", "urinary-incontinence"),
        ("urinary-continence", "catheter", "urinary-incontinence"),
    ],
)
def test_any_grade_of_incontinence_is_bad(record, assess, change, observation, grade, rule):
    system = "https://csor.example/fhir/CodeSystem/outcome-grade"
    value = {"coding": [{"system": system, "code": grade}]}
    outcome = assess(change(record(GOOD), observation, valueCodeableConcept=value))
    assert outcome.outcome_class == "bad"
    assert outcome.decided_by.id == rule
    assert outcome.evidence == (f"Observation/{observation}",)


def test_needing_enemas_or_irrigation_is_bad(record, assess, change):
    outcome = assess(change(record(GOOD), "bowel-movements", valueBoolean=False))
    assert outcome.decided_by.id == "voluntary-bowel-movements"


@pytest.mark.parametrize(
    ("day", "status"), [("2023-01-19", "unknown"), ("2023-01-20", "met"), ("2023-01", "unknown")]
)
def test_a_long_term_outcome_counts_from_the_fifth_birthday(record, assess, change, day, status):
    resources = [each for each in record(GOOD) if each["id"] != "faecal-continence"]
    resources += [
        each for each in record("bad-faecal-incontinence") if each["id"] == "faecal-continence"
    ]
    outcome = assess(change(resources, "faecal-continence", effectiveDateTime=day))
    assert finding(outcome, "faecal-incontinence").status == status


@pytest.mark.parametrize("status", ["preliminary", "entered-in-error", "cancelled", "unknown"])
def test_an_observation_that_is_not_final_does_not_count(record, assess, change, status):
    outcome = assess(change(record("bad-faecal-incontinence"), "faecal-continence", status=status))
    assert finding(outcome, "faecal-incontinence").status == "unknown"


@pytest.mark.parametrize("status", ["amended", "corrected"])
def test_a_corrected_observation_counts(record, assess, change, status):
    outcome = assess(change(record("bad-faecal-incontinence"), "faecal-continence", status=status))
    assert outcome.outcome_class == "bad"


@pytest.mark.parametrize(
    ("code", "when", "status"),
    [
        ("T30.2", "2018-04-11", "met"),
        ("T30.3", "2018-06-01", "met"),
        ("Y71.3", "2020-01-01", "met"),
        ("T30.1", "2018-04-10T20:00:00+01:00", "met"),
        ("T30.1", "2018-04-10T09:30:00+01:00", "not-met"),
        ("T30.1", "2018-04-10T09:00:00+01:00", "not-met"),
        ("T30.1", "2018-04-10", "not-met"),
        ("T30.2", "2018-02-01", "not-met"),
        ("H41.1", "2019-05-01", "met"),
        ("H41.4", "2018-04-10T11:00:00+01:00", "not-met"),
        ("G75.3", "2018-07-16", "not-met"),
    ],
)
def test_reoperation_follows_the_index_pull_through(record, assess, code, when, status):
    outcome = assess([*record(GOOD), procedure("another", code, when)])
    assert finding(outcome, "unplanned-reoperation").status == status


def test_a_reoperation_coded_in_snomed_ct_counts(record, assess):
    again = procedure("another", "47353000", "2018-05-01", "http://snomed.info/sct")
    assert assess([*record(GOOD), again]).decided_by.id == "unplanned-reoperation"


def test_a_stage_of_a_staged_operation_is_not_unplanned(record, assess):
    staged = [
        procedure("second-stage", "T30.3", "2018-06-01"),
        procedure("stage", "Y71.1", "2018-06-01T10:00:00+01:00"),
    ]
    assert assess([*record(GOOD), *staged]).outcome_class == "good"


@pytest.mark.parametrize("status", ["not-done", "preparation", "entered-in-error"])
def test_an_operation_that_did_not_take_place_does_not_count(record, assess, change, status):
    resources = change(record("bad-unplanned-reoperation"), "reoperation", status=status)
    assert assess(resources).outcome_class == "good"


def test_a_period_of_operation_counts_by_its_start(record, assess, change):
    period = {"start": "2018-04-13T22:15:00+01:00", "end": "2018-04-14T00:05:00+01:00"}
    resources = change(
        record("bad-unplanned-reoperation"),
        "reoperation",
        performedDateTime=None,
        performedPeriod=period,
    )
    assert assess(resources).decided_by.id == "unplanned-reoperation"


def test_without_a_pull_through_on_record_reoperation_is_unknown(record, assess):
    outcome = assess([each for each in record(GOOD) if each["id"] != "pull-through"])
    assert outcome.outcome_class == "not-yet-known"
    assert outcome.index_date is None
    assert "Missing: the index operation; " in outcome.statement


@pytest.mark.parametrize(("score", "status"), [(9, "not-met"), (10, "met"), (36, "met")])
def test_enterocolitis_is_a_score_of_10_or_more(record, assess, change, score, status):
    outcome = assess(change(record("bad-enterocolitis-score"), "score", valueInteger=score))
    assert finding(outcome, "enterocolitis").status == status


@pytest.mark.parametrize(
    "death", [{"deceasedBoolean": True}, {"deceasedDateTime": "2024-01-01T03:00:00Z"}]
)
def test_death_is_bad_at_any_age_with_or_without_a_date(record, assess, change, death):
    outcome = assess(change(record(GOOD), "child", **death))
    assert outcome.decided_by.id == "death"
    assert outcome.evidence == ("Patient/child",)


def registered(day):
    coding = {
        "system": "https://csor.example/fhir/CodeSystem/outcome-observation",
        "code": "death-registered",
    }
    return {
        "resourceType": "Observation",
        "id": "registered",
        "status": "final",
        "code": {"coding": [coding]},
        "subject": {"reference": "Patient/child"},
        "effectiveDateTime": day,
        "valueBoolean": True,
    }


@pytest.mark.parametrize(
    ("told", "day"),
    [("2024-01-02", "2024-01-03"), ("2024-01-04", "2024-01-03T09:00:00Z"), ("2024", "2024-01-03")],
)
def test_a_registered_date_of_death_counts_before_the_one_told(record, assess, change, told, day):
    outcome = assess([*change(record(GOOD), "child", deceasedDateTime=told), registered(day)])
    death = finding(outcome, "death")
    assert (outcome.decided_by.id, death.date) == ("death", day)
    assert outcome.evidence == ("Observation/registered",)
    two = finding(outcome, "dates-of-death").status
    assert two == ("not-met" if told == "2024" else "met")


def test_two_dates_of_death_decide_nothing(record, assess, change):
    resources = change(record("bad-unplanned-reoperation"), "child", deceasedDateTime="2018-04-12")
    outcome = assess([*resources, registered("2018-04-14T09:00:00Z")])
    assert finding(outcome, "dates-of-death").date == "2018-04-14"
    assert outcome.decided_by.id == "unplanned-reoperation"
    resources = change(record(GOOD), "child", deceasedDateTime="2024-01-01")
    assert assess([*resources, registered("2024-01-03T09:00:00Z")]).decided_by.id == "death"


def test_a_death_before_the_pull_through_is_a_fault_of_the_data(record, assess, change):
    outcome = assess(change(record(GOOD), "child", deceasedDateTime="2018-04-09"))
    assert (outcome.outcome_class, outcome.reason) == ("not-yet-known", "information-missing")
    assert outcome.decided_by.id == "death-before-operation"
    assert outcome.statement.startswith("The date of death is before the operation")
    assert assess(change(record(GOOD), "child", deceasedDateTime="2018-04-10")).evidence


def test_a_registered_death_is_no_follow_up(record, assess):
    outcome = assess([*record("due-survey-missing"), registered("2023-06-01")])
    assert outcome.decided_by.id == "death"
    assert finding(outcome, "enterocolitis").status == "unknown"


def test_no_report_of_death_is_not_survival_without_follow_up(record, assess, change):
    resources = change(record("due-survey-missing"), "child", deceasedBoolean=False)
    assert finding(assess(resources), "death").status == "unknown"


def test_what_happened_after_the_date_of_the_report_does_not_count(record, assess):
    outcome = assess(record("bad-death"), as_of="2018-06-01")
    assert outcome.outcome_class == "not-yet-known"
    assert assess(record("bad-death"), as_of="2018-06-02").outcome_class == "bad"
    later = procedure("later", "T30.2", "2024-07-01")
    assert assess([*record(GOOD), later], as_of="2024-06-30").outcome_class == "good"
    assert assess([*record(GOOD), later], as_of="2024-07-01").outcome_class == "bad"


def test_the_earliest_of_several_adverse_outcomes_decides(record, assess, change):
    resources = change(record("bad-unplanned-reoperation"), "stoma", valueBoolean=True)
    outcome = assess(resources)
    assert outcome.decided_by.id == "unplanned-reoperation"
    assert outcome.statement.endswith("(13 April 2018).")
    assert [each.rule.id for each in outcome.findings if each.status == "met"] == [
        "unplanned-reoperation",
        "permanent-stoma",
    ]


def test_a_bad_outcome_is_known_before_the_measure_is_due(record, assess):
    outcome = assess(record("bad-unplanned-reoperation"), as_of="2019-01-01")
    assert (outcome.outcome_class, outcome.due) == ("bad", False)


@pytest.mark.parametrize(
    ("birth_date", "due_on"),
    [("2016-02-29", "2021-03-01"), ("2018-02", "2023-02-28"), ("2018", "2023-12-31")],
)
def test_due_on_the_fifth_birthday_at_the_latest(record, assess, change, birth_date, due_on):
    outcome = assess(change(record(GOOD), "child", birthDate=birth_date))
    assert outcome.due_on == due_on


def test_a_child_of_unknown_birth_date_is_due_five_years_after_the_case(record, assess, change):
    resources = change(record(GOOD), "child", birthDate=None)
    early = assess(resources, as_of="2023-01-22")
    late = assess(resources, as_of="2023-01-23")
    assert (early.due, late.due) == (False, True)
    assert late.outcome_class == "not-yet-known"
    assert "the birth date is missing" in late.statement


def retired(**elements):
    return {"resourceType": "Patient", "id": "old", "active": False, **elements}


def test_the_patient_that_was_merged_away_is_passed_over(record, assess):
    outcome = assess([*record(GOOD), retired(birthDate="1999-01-01", deceasedBoolean=False)])
    assert (outcome.patient, outcome.outcome_class) == ("Patient/child", "good")
    assert outcome.birth_date == "2018-01-20"


@pytest.mark.parametrize(
    "death", [{"deceasedBoolean": True}, {"deceasedDateTime": "2024-01-01T03:00:00Z"}]
)
def test_a_death_on_the_patient_that_was_merged_away_is_the_childs(record, assess, death):
    outcome = assess([*record(GOOD), retired(**death)])
    assert (outcome.patient, outcome.decided_by.id) == ("Patient/child", "death")
    assert outcome.evidence == ("Patient/old",)


def test_a_date_of_death_wins_over_a_bare_yes(record, assess, change):
    dated = retired(deceasedDateTime="2024-01-01")
    resources = [*change(record(GOOD), "child", deceasedBoolean=True), dated]
    outcome = assess(resources)
    assert outcome.evidence == ("Patient/old",)
    assert outcome.statement.endswith("(1 January 2024).")
    assert assess(resources, as_of="2023-12-31").outcome_class == "good"


def test_a_record_of_two_children_is_refused(record, assess):
    with pytest.raises(FhirError, match="has 2") as refusal:
        assess([*record(GOOD), {"resourceType": "Patient", "id": "another"}])
    assert refusal.value.status == 422


def test_a_record_without_the_case_is_refused(record, assess, change):
    condition = {
        "system": "https://csor.example/fhir/CodeSystem/condition",
        "code": "gastroschisis",
    }
    with pytest.raises(FhirError, match="no case"):
        assess(change(record(GOOD), "case", type=[{"coding": [condition]}]))


@pytest.mark.parametrize("as_of", ["2024", "2024-13-01", "yesterday"])
def test_the_date_of_the_report_is_a_full_date(record, assess, as_of):
    with pytest.raises(FhirError, match="not a full date") as refusal:
        assess(record(GOOD), as_of=as_of)
    assert refusal.value.status == 400


def test_assessing_changes_nothing(record, assess):
    resources = record(GOOD)
    assess(resources)
    assert resources == record(GOOD)
