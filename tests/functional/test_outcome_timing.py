"""What a measure makes of what really arrives: late, by several hospitals, and by two sources.

The children, hospitals and rows are fictitious.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import outcome_engine
from fhir_server.app import context
from fhir_server.context import Context
from fhir_server.operations.children import one
from fhir_server.settings import Settings
from outcome_engine import ChildOutcome
from r4.json import Resource
from terminology import Terminology
from tests.functional.test_evaluate import HOSPITAL, keep
from tests.support.databases import new_database
from tests.support.deaths import HEADING, child, loaded
from tests.support.mllp import register
from tests.support.server import Served, served

CSOR = "https://csor.example/fhir"
TERMINOLOGY = Terminology.load()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path / "csor.db") as running:
        yield running


def outcome(made: Context, measure: str, patient: str, as_of: str, types: str) -> ChildOutcome:
    async def record() -> list[Resource]:
        (found,) = [each async for each in one(made, patient, types)]
        return found

    url = f"{CSOR}/Measure/{measure}"
    return outcome_engine.assess(url, asyncio.run(record()), as_of, TERMINOLOGY)


def case(condition: str, start: str) -> Resource:
    coding = {"system": f"{CSOR}/CodeSystem/condition", "code": condition}
    return {
        "resourceType": "EpisodeOfCare",
        "id": "case",
        "status": "active",
        "type": [{"coding": [coding]}],
        "patient": {"reference": "Patient/a"},
        "managingOrganization": {"reference": "Organization/hospital"},
        "period": {"start": start},
    }


@pytest.mark.parametrize(
    ("told", "registered", "died", "differ"),
    [
        ("2022-02-09", "20220207", True, True),
        ("2022-02-07", "20220209", False, True),
        ("2022-02-07", "20220207", True, False),
        (None, "20220207", True, False),
    ],
)
def test_the_registered_day_of_death_counts_and_a_difference_is_shown(
    tmp_path: Path, told: str | None, registered: str, died: bool, differ: bool
) -> None:
    settings = Settings(database=new_database("sqlite", tmp_path), bulk_folder=tmp_path / "bulk")
    made = context(settings)
    listed = tmp_path / "deaths.txt"
    listed.write_text(f"{HEADING}\nr1|{registered}|9990000026|\n")

    async def load() -> None:
        said: dict[str, Any] = {} if told is None else {"deceasedDateTime": told}
        await child(made, "a", "9990000026", birthDate="2021-02-08", **said)
        report, _ = await loaded(made, listed)
        assert report["deaths"]["different"] == int(differ)

    try:
        keep(made.database, HOSPITAL, case("gastroschisis", "2021-02-08"))
        asyncio.run(made.database.driven(load()))
        found = outcome(made, "gastroschisis-survival", "Patient/a", "2023-01-01", _type())
    finally:
        made.database.close()
    statuses = {finding.rule.id: finding.status for finding in found.findings}
    assert statuses["death"] == ("met" if died else "not-met")
    assert statuses["dates-of-death"] == ("met" if differ else "not-met")
    assert found.outcome_class == ("bad" if died else "good")
    if differ:
        shown = next(each for each in found.findings if each.rule.id == "dates-of-death")
        assert {each.reference.partition("/")[0] for each in shown.evidence} == {
            "Patient",
            "Observation",
        }


def _type(condition: str = "gastroschisis") -> str:
    return f"{CSOR}/CodeSystem/condition|{condition}"


OPERATION = "PR1|1||H012^x^OPCS4||202503101400\r"


def stay(id: str, hospital: str, start: str, end: str, method: str) -> str:
    """Return the discharge message of a stay: PV1-2 class, 4 method, 19 visit, 44 and 45 from and to."""
    fields = {1: "1", 2: "I", 4: method, 19: f"{id}^^^VISITID", 36: "1", 44: start, 45: end}
    return (
        f"MSH|^~\\&|PAS|{hospital}|CSOR|CSOR|{end}||ADT^A03|{id}|P|2.4\r"
        f"EVN|A03|{end}\r"
        "PID|1||9990000018^^^NHS||Testchild-Wren^Fictitious||20160506|2\r"
        f"PV1|{'|'.join(fields.get(each, '') for each in range(1, 46))}\r"
    )


INDEX = stay("S1", "RTH", "202503092200", "202503131100", "21") + OPERATION
TRANSFER = stay("S2", "RWE", "202503131200", "202503180900", "2B")
BACK = stay("S3", "RHM", "202504170800", "202504180900", "21")


@pytest.mark.parametrize("messages", [(INDEX, TRANSFER, BACK), (BACK, TRANSFER, INDEX)])
def test_care_at_other_hospitals_counts_by_its_clinical_dates_for_the_hospital_of_the_case(
    server: Served, messages: tuple[str, ...]
) -> None:
    """An appendicectomy at RTH, a transfer to RWE, and 30 days after leaving it an emergency at RHM."""
    register(server, "RTH", "RWE", "RHM")
    for message in messages:
        send(server, message)
    record = everything(server)
    url = f"{CSOR}/Measure/appendicectomy-readmission"
    found = outcome_engine.assess(url, record, "2025-06-01", TERMINOLOGY)
    assert (found.outcome_class, found.index_date) == ("bad", "2025-03-10")
    assert found.due_on == "2025-04-17"
    hospitals = {each["id"]: each["name"] for each in organizations(server)}
    assert hospitals[str(found.hospital).partition("/")[2]] == "RTH"
    (shown,) = found.evidence
    encounter = server.http.get(f"/{shown}").json()
    assert encounter["period"]["start"].startswith("2025-04-17")
    provider = encounter["serviceProvider"]["reference"].partition("/")[2]
    assert hospitals[provider] == "RHM"
    cared = [(hospitals[each.hospital.partition("/")[2]], each.encounters) for each in found.care]
    assert [name for name, _ in cared] == ["RWE", "RHM"]
    assert [[stay.date[:10] for stay in stays] for _, stays in cared] == [
        ["2025-03-13"],
        ["2025-04-17"],
    ]


def send(server: Served, message: str) -> None:
    url = server.base_url.removesuffix("/fhir") + "/hl7v2"
    headers = {"content-type": "application/hl7-v2"}
    answer = server.http.post(url, content=message.encode(), headers=headers)
    assert "MSA|AA" in answer.text, answer.text


def everything(server: Served, *more: str) -> list[Resource]:
    return [
        entry["resource"]
        for kind in ("Patient", "EpisodeOfCare", "Encounter", "Procedure", *more)
        for entry in server.http.get(f"/{kind}").json()["entry"]
    ]


def organizations(server: Served) -> list[Resource]:
    return [entry["resource"] for entry in server.http.get("/Organization").json()["entry"]]


def operated(stayed: str, told: str, day: str) -> str:
    """Return a stay with its operation, by PR1-19, on a day; told: when the event was recorded."""
    fields = {1: "1", 3: "H012^x^OPCS4", 5: f"{day}1400", 19: "OP1^EPR"}
    procedure = "|".join(fields.get(each, "") for each in range(1, 20))
    return f"{stayed.replace('EVN|A03|202503131100', f'EVN|A03|{told}')}PR1|{procedure}\r"


S1 = stay("S1", "RTH", "202503092200", "202503131100", "21")
FIRST = operated(S1, "202503131100", "20250310")
CORRECTED = operated(S1.replace("|S1|P|", "|S1B|P|"), "202503131300", "20250311")


@pytest.mark.parametrize("messages", [(FIRST, CORRECTED), (CORRECTED, FIRST)])
def test_an_operation_that_is_corrected_to_another_day_is_one_operation_of_that_day(
    server: Served, messages: tuple[str, ...]
) -> None:
    """The first message may come after its correction; the stay before is care elsewhere."""
    register(server, "RTH", "RWE")
    before = stay("S0", "RWE", "202503081000", "202503092130", "21")
    for message in (*messages, before):
        send(server, message)
    url = f"{CSOR}/Measure/appendicectomy-readmission"
    found = outcome_engine.assess(url, everything(server), "2025-06-01", TERMINOLOGY)
    assert (found.index_date, found.outcome_class) == ("2025-03-11", "good")
    hospitals = {each["id"]: each["name"] for each in organizations(server)}
    assert hospitals[str(found.hospital).partition("/")[2]] == "RTH"
    (cared,) = found.care
    assert hospitals[cared.hospital.partition("/")[2]] == "RWE"


RESULTS = (
    "MSH|^~\\&|EPR|RTH|CSOR|CSOR|202504091200||ORU^R01|R1|P|2.4\r"
    "PID|1||9990000018^^^NHS||Testchild-Wren^Fictitious||20160506|2\r"
    "OBR|1||P-1^EPR|outcome^Follow-up^L|||202503141000\r"
    "OBX|1|CE|appendix-histology^Histology^CSOR||appendix-normal^Normal appendix^CSOR||||||F\r"
    "OBX|2|ID|postoperative-review^Review^CSOR||Y||||||F|||202504091100\r"
)


@pytest.mark.parametrize(
    ("measure", "found", "day"),
    [
        ("appendicectomy-negative", "bad", "2025-03-14"),
        ("appendicectomy-complications", "good", None),
    ],
)
def test_results_of_a_hospital_make_the_measures_of_an_appendicectomy_known(
    server: Served, measure: str, found: str, day: str | None
) -> None:
    register(server, "RTH")
    for message in (INDEX, RESULTS):
        send(server, message)
    record = everything(server, "Observation")
    outcome = outcome_engine.assess(f"{CSOR}/Measure/{measure}", record, "2025-06-01", TERMINOLOGY)
    assert outcome.outcome_class == found
    finding = next(each for each in outcome.findings if each.rule.id != "death")
    assert day is None or (finding.date or "").startswith(day)
