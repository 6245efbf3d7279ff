"""Resources for the registry's views, made by chance: every form of value, reference and coding.

`ODD` adds what few senders write, and what is no FHIR: extensions of primitives, nulls, wrong shapes.
"""

from hypothesis import strategies as st

EXTENSION = "https://csor.example/fhir/StructureDefinition/procedure-"
CODES = st.sampled_from(["a", "b", 'q"u1.5o\\te', "ü 2.50"])
DATES = st.sampled_from(["2020", "2020-02", "2020-02-29", "2020-02-29T23:59:59.5+01:00"])
CODING = st.fixed_dictionaries({}, optional={"system": CODES, "code": CODES})
CONCEPT = st.fixed_dictionaries({}, optional={"coding": st.lists(CODING, min_size=1, max_size=3)})
NUMBER = st.decimals(-(10**9), 10**9, places=6, allow_nan=False, allow_infinity=False)
VALUE = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"valueBoolean": st.booleans()}),
    st.fixed_dictionaries({"valueInteger": st.integers(-(2**31), 2**31 - 1)}),
    st.fixed_dictionaries({"valueString": CODES}),
    st.fixed_dictionaries({"valueDateTime": DATES}),
    st.fixed_dictionaries({"valueCodeableConcept": CONCEPT}),
    st.fixed_dictionaries(
        {"valueQuantity": st.fixed_dictionaries({"value": NUMBER}, optional={"code": CODES})}
    ),
)
REFERENCE = st.sampled_from(
    ["Patient/a", "Encounter/b", "Patient/a/_history/2", "http://x.example/Patient/a", "#c"]
).map(lambda text: {"reference": text})
COMPONENT = st.builds(lambda code, value: {"code": code, **value}, CONCEPT, VALUE)
OBSERVATION = st.builds(
    lambda value, rest: {"resourceType": "Observation", "id": "o", **rest, **value},
    VALUE,
    st.fixed_dictionaries(
        {"code": CONCEPT},
        optional={
            "status": CODES,
            "subject": REFERENCE,
            "encounter": REFERENCE,
            "effectiveDateTime": DATES,
            "component": st.lists(COMPONENT, min_size=1, max_size=3),
        },
    ),
)
URGENCY = st.builds(
    lambda kind, concept: {"url": EXTENSION + kind, "valueCodeableConcept": concept},
    st.sampled_from(["urgency", "stage", "laterality", "other"]),
    CONCEPT,
)
PROCEDURE = st.builds(
    lambda rest: {"resourceType": "Procedure", "id": "p", **rest},
    st.fixed_dictionaries(
        {},
        optional={
            "code": CONCEPT,
            "subject": REFERENCE,
            "extension": st.lists(URGENCY, min_size=1, max_size=4),
            "performedPeriod": st.fixed_dictionaries({}, optional={"start": DATES, "end": DATES}),
        },
    ),
)

_STRANGE = st.sampled_from(
    [
        {"_status": {"extension": [{"url": "a", "valueCode": "b"}]}},
        {"_effectiveDateTime": {"extension": [{"url": "a", "valueCode": "b"}]}},
        {"code": {"coding": [{"_code": {"extension": [{"url": "a", "valueCode": "b"}]}}]}},
        {"valueCodeableConcept": {"coding": [{"_code": {"id": "x"}}, {"code": "b"}]}},
        {"extension": [{"url": EXTENSION + "urgency", "valueString": "planned"}]},
        {"extension": [{"url": EXTENSION + "urgency"}]},
        {"code": None},
        {"subject": {"identifier": {"value": "1"}}},
        {"component": [{"code": {"coding": []}}]},
    ]
)
ODD = st.builds(lambda resource, strange: resource | strange, OBSERVATION | PROCEDURE, _STRANGE)
