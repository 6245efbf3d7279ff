"""Records that nobody would make up: ties, partial dates, no birth date, 29 February, merged Patients."""

from hypothesis import strategies as st

CONDITIONS = "https://csor.example/fhir/CodeSystem/condition"
OPCS = "https://fhir.hl7.org.uk/CodeSystem/OPCS-4"
OUTCOMES = "https://csor.example/fhir/CodeSystem/outcome-observation"
GRADES = "https://csor.example/fhir/CodeSystem/outcome-grade"

# A few days, so that ties are frequent; the report is of 28 February 2023.
days = st.sampled_from(
    ["2016-02-29", "2018-01-31", "2018-02-28", "2018-03-01", "2021-03-01", "2023-02-27",
     "2023-02-28", "2023-03-01"]
)  # fmt: skip
dates = st.one_of(
    days,
    days.map(lambda day: day[:7]),
    days.map(lambda day: day[:4]),
    st.tuples(days, st.sampled_from(["00:30:00", "23:30:00", "12:00:00.5"]),
              st.sampled_from(["Z", "+01:00", "-05:00"])).map(lambda p: f"{p[0]}T{p[1]}{p[2]}"),
)  # fmt: skip
births = st.one_of(st.none(), days, days.map(lambda day: day[:7]), days.map(lambda day: day[:4]))


def drawn_records(count):
    """Draw records of so many children, whose resources have ids of their own."""
    return st.lists(_records(), min_size=count, max_size=count).map(_numbered)


def _records():
    return st.tuples(
        st.lists(_patients(), min_size=1, max_size=2),
        st.lists(_cases(), min_size=1, max_size=2),
        st.lists(_procedures(), max_size=4),
        st.lists(_observations(), max_size=5),
    ).map(lambda parts: [each for part in parts for each in part])


def _patients():
    death = st.one_of(
        st.just({}),
        st.booleans().map(lambda dead: {"deceasedBoolean": dead}),
        dates.map(lambda date: {"deceasedDateTime": date}),
    )
    active = st.sampled_from([{}, {"active": True}, {"active": False}])
    born = births.map(lambda date: {"birthDate": date} if date else {})
    return st.tuples(active, born, death).map(
        lambda parts: {"resourceType": "Patient", **parts[0], **parts[1], **parts[2]}
    )


def _cases():
    codes = st.lists(
        st.sampled_from(["hirschsprung", "hirschsprung", "gastroschisis"]), min_size=1, max_size=2
    )
    return st.builds(
        lambda status, types, start, hospital: {
            "resourceType": "EpisodeOfCare",
            "status": status,
            "type": [{"coding": [{"system": CONDITIONS, "code": each} for each in types]}],
            "period": {"start": start},
            **({"managingOrganization": {"reference": hospital}} if hospital else {}),
        },
        st.sampled_from(["active", "finished", "active", "entered-in-error"]),
        codes,
        dates,
        st.sampled_from([None, "Organization/a", "Organization/b"]),
    )


def _procedures():
    coding = st.builds(
        lambda system, code: {"system": system, "code": code} if system else {"code": code},
        st.sampled_from([OPCS, OPCS, OPCS, "http://snomed.info/sct", None]),
        st.sampled_from(
            ["H41.1", "H41.4", "T30.1", "T30.2", "Y71.1", "Y70.3", "G75.3", "47353000"]
        ),
    )
    return st.builds(
        lambda status, codings, when: {
            "resourceType": "Procedure",
            "status": status,
            "code": {"coding": codings} if codings else {"text": "an operation"},
            **when,
        },
        st.sampled_from(["completed", "completed", "not-done", "in-progress"]),
        st.lists(coding, max_size=2),
        st.one_of(
            st.just({}),
            dates.map(lambda date: {"performedDateTime": date}),
            dates.map(lambda date: {"performedPeriod": {"start": date}}),
        ),
    )


def _observations():
    value = st.one_of(
        st.just({}),
        st.booleans().map(lambda value: {"valueBoolean": value}),
        st.sampled_from([9, 10, 11]).map(lambda value: {"valueInteger": value}),
        st.sampled_from(["none", "grade-1", "catheter"]).map(
            lambda code: {"valueCodeableConcept": {"coding": [{"system": GRADES, "code": code}]}}
        ),
    )
    code = st.sampled_from(
        ["faecal-incontinence", "voluntary-bowel-movements", "urinary-incontinence",
         "permanent-stoma", "haec-score", "haec-episode", "death-registered"]
    )  # fmt: skip
    return st.builds(
        lambda status, code, when, value: {
            "resourceType": "Observation",
            "status": status,
            "code": {"coding": [{"system": OUTCOMES, "code": code}]},
            **when,
            **value,
        },
        st.sampled_from(["final", "final", "amended", "preliminary"]),
        code,
        st.one_of(st.just({}), dates.map(lambda date: {"effectiveDateTime": date})),
        value,
    )


def _numbered(those):
    return [
        [
            {**resource, "id": f"{number}-{place % 3}-{place}"}
            for place, resource in enumerate(record)
        ]
        for number, record in enumerate(those)
    ]
