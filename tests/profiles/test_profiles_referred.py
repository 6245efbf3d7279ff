"""Profiles that a profile names: for what is referred to, and for the values of an element."""

from tests.profiles.small import brief, check, element, observation, patient, profile

PATIENT_1 = {"reference": "Patient/1"}
GENDERED = profile("gendered", "Patient", element("Patient.gender", min=1))


def test_a_target_that_is_a_profile_is_for_the_type_of_that_profile():
    """Its name says nothing: `…/gendered` is a Patient."""
    target = {"code": "Reference", "targetProfile": [GENDERED["url"]]}
    about = profile("about", "Observation", element("Observation.subject", type=[target]))
    assert check(observation(subject=PATIENT_1), about, GENDERED) == []
    assert brief(check(observation(subject={"reference": "Group/1"}), about, GENDERED)) == [
        ("reference-target", "Observation.subject")
    ]


def test_a_target_at_hand_has_to_conform():
    target = {"code": "Reference", "targetProfile": [GENDERED["url"]]}
    about = profile("about", "Observation", element("Observation.subject", type=[target]))
    held = observation(contained=[patient(id="p")], subject={"reference": "#p"})
    assert brief(check(held, about, GENDERED)) == [("reference-profile", "Observation.subject")]
    resolved = check(
        observation(subject=PATIENT_1),
        about,
        GENDERED,
        resolve={"Patient/1": patient(id="1")}.get,
    )
    assert brief(resolved) == [("reference-profile", "Observation.subject")]


def test_a_type_may_be_held_to_a_profile_of_its_own():
    short = profile("short", "HumanName", element("HumanName.text", min=1), kind="complex-type")
    named = profile(
        "named",
        "Patient",
        element("Patient.name", type=[{"code": "HumanName", "profile": [short["url"]]}]),
    )
    assert check(patient(name=[{"text": "a"}]), named, short) == []
    assert brief(check(patient(name=[{"family": "a"}]), named, short)) == [
        ("type-profile", "Patient.name[0]")
    ]
    assert brief(check(patient(name=[{"family": "a"}]), named)) == [
        ("profile-not-loaded", "Patient.name[0]")
    ]


def test_what_a_bundle_holds_is_at_hand():
    target = {"code": "Reference", "targetProfile": [GENDERED["url"]]}
    about = profile("about", "Observation", element("Observation.subject", type=[target]))
    claiming = observation(meta={"profile": [about["url"]]}, subject=PATIENT_1)
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [
            {"fullUrl": "https://e.org/fhir/Patient/1", "resource": patient(id="1")},
            {"fullUrl": "https://e.org/fhir/Observation/1", "resource": claiming},
        ],
    }
    assert brief(check(bundle, about, GENDERED, asked=False)) == [
        ("reference-profile", "Bundle.entry[1].resource.subject")
    ]


def test_a_code_that_cannot_be_told_to_be_in_a_profiles_value_set_is_a_warning():
    """Neither passed in silence nor refused: here no package has the value set."""
    binding = {"strength": "required", "valueSet": "https://e.org/ValueSet/not-loaded"}
    bound = profile("bound", "Patient", element("Patient.maritalStatus", binding=binding))
    coded = patient(maritalStatus={"coding": [{"system": "https://e.org/cs", "code": "m"}]})
    [issue] = check(coded, bound)
    assert (issue.severity, issue.rule, issue.expression) == (
        "warning",
        "terminology-not-loaded",
        "Patient.maritalStatus",
    )
    assert check(patient(maritalStatus={"text": "m"}), bound) == []
    assert check(coded, bound, warnings=False) == []
