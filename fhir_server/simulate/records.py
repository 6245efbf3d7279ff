"""Little stories of records: opened twice and made one, numbered wrongly, numbers used again.

HL7 v2.4 chapter 3: A28 and A31, A34, A44, A47.
"""

from dataclasses import replace

from fhir_server.simulate.people import Person
from fhir_server.simulate.steps import Step, Told


def renumbered(told: Told) -> list[Step]:
    """Give the child a wrong hospital number, and take it away (A47)."""
    person = told.event.person
    wrong = replace(person, mrn=f"W{told.spell.number}")
    return [
        Step("ADT^A31", 10, (told.pid(wrong), "PV1|1|N")),
        Step("ADT^A47", 30, (told.pid(), f"MRG|{_numbered(told, wrong)}")),
    ]


def opened_twice(told: Told) -> list[Step]:
    """Open a second record with a visit; move the visit (A44), then make the records one (A34).

    The merge is sent once more with its records exchanged, which must be refused.
    """
    second = replace(told.event.person, number="", mrn=f"S{told.spell.number}")
    number = f"{told.spell.number}-M"
    begun = {2: "O", 44: told.at(12)}
    account = f"{number}^^^VISITID"
    stands, goes = f"MRG|{_numbered(told, told.event.person)}", f"MRG|{_numbered(told, second)}"
    ended = told.pv1(number, {**begun, 36: "1", 37: "19", 45: told.at(55)})
    return [
        Step("ADT^A28", 10, (told.pid(second), "PV1|1|N")),
        Step("ADT^A04", 15, (told.pid(second), told.pv1(number, begun))),
        Step("ADT^A44", 30, (told.pid(), f"{goes}||||{account}")),
        Step("ADT^A34", 40, (told.pid(), goes)),
        Step("ADT^A34", 50, (told.pid(second), stands), refused=True),
        Step("ADT^A03", 60, (told.pid(), ended)),
    ]


def said_again(told: Told) -> list[Step]:
    """Say who the next of kin is; then something else under the same MSH-10, which is refused."""
    listed = told.pid()
    return [
        Step("ADT^A31", 10, (listed, "NK1|1|Testparent^Fictitious|MTH", "PV1|1|N")),
        Step(
            "ADT^A31",
            20,
            (listed, "NK1|1|Testparent^Invented|FTH", "PV1|1|N"),
            refused=True,
            repeats=True,
        ),
    ]


def _numbered(told: Told, person: Person) -> str:
    return f"{person.mrn}^^^{told.habits.ods}^MR"
