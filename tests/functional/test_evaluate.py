"""Evaluating many children: merged records, incomplete ones, and what each of them costs."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from fhir_server.app import context
from fhir_server.context import Context
from fhir_server.operations.evaluate import evaluate
from fhir_server.settings import Settings
from fhir_server.store.commit import commit
from fhir_server.store.connection import Database
from fhir_server.store.sqlite import SqliteDatabase
from fhir_server.store.write import Commit, Write
from r4.json import encode
from tests.support.databases import new_database
from tests.support.returned import reports, returned
from tests.support.server import Served, served

BASE = "https://csor.example/fhir"
MEASURE = f"{BASE}/Measure/hirschsprung-core-outcome"
CONDITION = {"system": f"{BASE}/CodeSystem/condition", "code": "hirschsprung"}
PERIOD = {"periodStart": "2012-01-01", "periodEnd": "2012-12-31"}
GIVEN = {"measureUrl": [MEASURE], **PERIOD, "reportType": "individual"}

Resource = dict[str, Any]


def patient(id: str, *links: tuple[str, str], **more: Any) -> Resource:
    found = {"resourceType": "Patient", "id": id, "active": True, "birthDate": "2012-03-01", **more}
    listed = [{"type": t, "other": {"reference": f"Patient/{other}"}} for t, other in links]
    return {**found, "link": listed} if listed else found


def retired(id: str, *links: tuple[str, str], **more: Any) -> Resource:
    return patient(id, *links, **{"active": False, **more})


def case(id: str, of: str, start: str | None = "2012-03-04", **more: Any) -> Resource:
    found = {
        "resourceType": "EpisodeOfCare",
        "id": id,
        "status": "active",
        "type": [{"coding": [CONDITION]}],
        "patient": {"reference": f"Patient/{of}"},
        "managingOrganization": {"reference": "Organization/hospital"},
        **more,
    }
    return {**found, "period": {"start": start}} if start else found


def stoma(id: str, of: str) -> Resource:
    """A permanent stoma at six years: an adverse outcome."""
    coding = {"system": f"{BASE}/CodeSystem/outcome-observation", "code": "permanent-stoma"}
    return {
        "resourceType": "Observation",
        "id": id,
        "status": "final",
        "code": {"coding": [coding]},
        "subject": {"reference": f"Patient/{of}"},
        "effectiveDateTime": "2018-05-01",
        "valueBoolean": True,
    }


HOSPITAL = {"resourceType": "Organization", "id": "hospital", "name": "Fictitious hospital"}


def keep(database: Database, *resources: Resource) -> None:
    """Store resources as they are, also such as a door would refuse today."""
    asyncio.run(commit(database, Commit([written(each) for each in resources])))


def written(resource: Resource) -> Write:
    kind, id = resource["resourceType"], resource["id"]
    return Write(kind, id, 1, 1, encode(resource))


def asked(server: Served, **given: str) -> Any:
    return server.http.get("/Measure/$evaluate", params={"measureUrl": MEASURE, **PERIOD, **given})


def one(server: Served, id: str) -> Resource:
    """Return the report of the child whom a Patient is of."""
    (report,) = reports(asked(server, subject=f"Patient/{id}"))
    return report


def extension(report: Resource, name: str) -> Resource:
    return next(e for e in report["extension"] if e["url"].endswith(f"/{name}"))


def result(report: Resource) -> Resource:
    parts = extension(report, "outcome-result")["extension"]
    return {
        part["url"]: next(value for key, value in part.items() if key != "url") for part in parts
    }


def used(report: Resource) -> set[str]:
    return {each["reference"] for each in report["evaluatedResource"]}


def count(report: Resource) -> int:
    found: int = report["group"][0]["population"][0]["count"]
    return found


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Served]:
    """A registry with a hospital and nobody in it."""
    with served(tmp_path) as running:
        keep(running.context.database, HOSPITAL)
        yield running


class TestMergedRecords:
    @pytest.mark.parametrize(
        "death", [{"deceasedDateTime": "2012-04-01"}, {"deceasedBoolean": True}]
    )
    def test_a_death_recorded_before_the_merge_counts(self, registry: Served, death: Any) -> None:
        keep(
            registry.context.database,
            patient("survivor", ("replaces", "prior")),
            retired("prior", ("replaced-by", "survivor"), **death),
            case("case", "survivor"),
        )
        report = one(registry, "survivor")
        assert report["subject"]["reference"] == "Patient/survivor"
        assert result(report)["rule"] == "death"
        assert result(report)["evidence"]["reference"] == "Patient/prior"

    @pytest.mark.parametrize(
        "chain",
        [
            [retired("a", ("replaced-by", "b")), retired("b", ("replaced-by", "c")), patient("c")],
            [retired("a"), retired("b", ("replaces", "a")), patient("c", ("replaces", "b"))],
            [
                retired("a", ("replaced-by", "b")),
                retired("b", ("replaced-by", "c")),
                patient("c", ("replaces", "b")),
            ],
        ],
        ids=["replaced-by alone", "replaces alone", "as merges leave them"],
    )
    def test_a_chain_of_merges_keeps_what_its_first_record_held(
        self, registry: Served, chain: list[Resource]
    ) -> None:
        keep(registry.context.database, *chain, case("case", "c"), stoma("of-a", "a"))
        for id in "abc":
            report = one(registry, id)
            assert report["subject"]["reference"] == "Patient/c"
            assert result(report)["rule"] == "permanent-stoma"
            assert {"Patient/c", "EpisodeOfCare/case", "Observation/of-a"} <= used(report)
        national, _ = returned(asked(registry))
        assert count(national) == 1

    def test_a_second_merge_into_the_same_record_keeps_the_first_ones_data(
        self, registry: Served
    ) -> None:
        keep(
            registry.context.database,
            patient("survivor", ("replaces", "second")),
            retired("first", ("replaced-by", "survivor")),
            retired("second", ("replaced-by", "survivor")),
            *(case(f"case-{id}", id) for id in ("survivor", "first", "second")),
            stoma("of-first", "first"),
        )
        assert result(one(registry, "survivor"))["rule"] == "permanent-stoma"
        found = returned(asked(registry, reportType="individual"))
        assert [report["subject"]["reference"] for report in found] == ["Patient/survivor"]

    def test_a_case_of_the_record_that_was_merged_away_is_the_survivors(
        self, registry: Served
    ) -> None:
        keep(
            registry.context.database,
            patient("survivor", ("replaces", "prior")),
            retired("prior", ("replaced-by", "survivor")),
            case("case", "prior"),
        )
        for id in ("survivor", "prior"):
            report = one(registry, id)
            assert report["subject"]["reference"] == "Patient/survivor"
            assert "EpisodeOfCare/case" in used(report)

    @pytest.mark.parametrize("claimed", [True, False], ids=["both claim it", "neither does"])
    def test_a_record_replaced_by_two_counts_for_the_first_alone(
        self, registry: Served, claimed: bool
    ) -> None:
        claims = [("replaces", "prior")] if claimed else []
        keep(
            registry.context.database,
            patient("y", *claims),
            patient("x", *claims),
            retired("prior", ("replaced-by", "y"), ("replaced-by", "x")),
            *(case(f"case-{id}", id) for id in ("x", "y", "prior")),
            stoma("of-prior", "prior"),
        )
        assert result(one(registry, "y"))["class"]["code"] == "bad"
        assert result(one(registry, "prior"))["class"]["code"] == "bad"
        assert result(one(registry, "x"))["class"]["code"] == "not-yet-known"
        assert len(returned(asked(registry, reportType="individual"))) == 2

    def test_a_circle_of_merges_is_one_child_the_active_record_standing(
        self, registry: Served
    ) -> None:
        keep(
            registry.context.database,
            patient("a", ("replaced-by", "b")),
            retired("b", ("replaced-by", "c"), ("replaces", "b")),
            retired("c", ("replaced-by", "a")),
            case("case", "b"),
            stoma("of-c", "c"),
        )
        for id in "abc":
            assert one(registry, id)["subject"]["reference"] == "Patient/a"
        assert "Observation/of-c" in used(one(registry, "b"))

    def test_links_that_are_no_merge_make_no_one_child(self, registry: Served) -> None:
        keep(
            registry.context.database,
            patient("twin", ("seealso", "other")),
            patient("other", ("refer", "twin")),
            case("case", "twin"),
            stoma("of-other", "other"),
        )
        assert result(one(registry, "twin"))["class"]["code"] == "not-yet-known"

    def test_a_chain_of_hundreds_is_followed(self, registry: Served) -> None:
        chain = [retired(f"p{n}", ("replaced-by", f"p{n + 1}")) for n in range(300)]
        keep(registry.context.database, *chain, patient("p300"), case("case", "p0"))
        assert one(registry, "p300")["subject"]["reference"] == "Patient/p300"


INCOMPLETE = {
    "year": [patient("year"), case("case-year", "year", "2012")],
    "undated": [patient("undated"), case("case-undated", "undated", None)],
    "inactive": [retired("inactive"), case("case-inactive", "inactive")],
    "two": [
        patient("two"),
        patient("two-too", ("replaced-by", "two")),
        case("case-two", "two-too"),
    ],
    "circle": [
        retired("circle", ("replaced-by", "round")),
        retired("round", ("replaced-by", "circle")),
        case("case-circle", "circle"),
    ],
}
NOBODYS = case("case-nobodys", "", patient={"display": "Fictitious"})
COMPLETE = [
    patient("complete"),
    case("case-complete", "complete"),
    stoma("of-complete", "complete"),
]


@pytest.fixture(scope="module")
def incomplete(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A registry of one complete record and six that cannot be assessed."""
    with served(tmp_path_factory.mktemp("incomplete")) as running:
        listed = [each for resources in INCOMPLETE.values() for each in resources]
        keep(running.context.database, HOSPITAL, *COMPLETE, *listed, NOBODYS)
        yield running


class TestIncompleteRecords:
    @pytest.mark.parametrize("kind", ["summary", "individual"])
    def test_they_do_not_block_the_others_and_are_named(
        self, incomplete: Served, kind: str
    ) -> None:
        *found, outcome = returned(asked(incomplete, reportType=kind))
        assert count(found[0]) == 1
        assert len(found) == (2 if kind == "summary" else 1)
        assert outcome["resourceType"] == "OperationOutcome"
        assert {issue["severity"] for issue in outcome["issue"]} == {"warning"}
        said = sorted(issue["diagnostics"] for issue in outcome["issue"])
        expected = sorted(f"EpisodeOfCare/case-{name} " for name in (*INCOMPLETE, "nobodys"))
        assert [text[: len(start)] for text, start in zip(said, expected, strict=True)] == expected
        reasons = {text.split()[0].rpartition("-")[2]: text for text in said}
        for undated in ("year", "undated"):
            assert "period.start" in reasons[undated]
        for name, number in (("inactive", 0), ("two", 2), ("circle", 0), ("nobodys", 0)):
            assert f"has {number}" in reasons[name]

    def test_the_summaries_say_how_many(self, incomplete: Served) -> None:
        national, hospital, _ = returned(asked(incomplete))
        assert extension(national, "outcome-not-assessable")["valueInteger"] == 6
        masked = extension(hospital, "outcome-not-assessable")
        assert "valueInteger" not in masked
        assert masked["_valueInteger"]["extension"][0]["valueCode"] == "masked"

    def test_the_reports_are_stored_all_the_same(self, incomplete: Served) -> None:
        given = {"measureUrl": MEASURE, **PERIOD}
        answer = incomplete.http.post("/Measure/$evaluate", params=given)
        national, hospital, outcome = returned(answer)
        assert outcome["resourceType"] == "OperationOutcome"
        for report in (national, hospital):
            stored = incomplete.http.get(f"/MeasureReport/{report['id']}").json()
            assert stored["extension"] == report["extension"]

    def test_a_hospitals_report_tells_only_of_its_own(self, incomplete: Served) -> None:
        elsewhere = {**HOSPITAL, "id": "elsewhere"}
        keep(incomplete.context.database, elsewhere)
        (report,) = returned(asked(incomplete, reporter="Organization/elsewhere"))
        assert extension(report, "outcome-not-assessable")["valueInteger"] == 0

    def test_r4s_operation_gives_its_one_report(self, incomplete: Served) -> None:
        answer = incomplete.http.get(
            "/Measure/hirschsprung-core-outcome/$evaluate-measure", params=PERIOD
        )
        assert extension(answer.json(), "outcome-not-assessable")["valueInteger"] == 6

    def test_a_case_that_cannot_be_of_the_period_is_not_named(self, incomplete: Served) -> None:
        later = {"periodStart": "2013-01-01", "periodEnd": "2013-12-31"}
        *_, outcome = returned(asked(incomplete, **later))
        (issue,) = outcome["issue"]
        assert issue["diagnostics"].startswith("EpisodeOfCare/case-undated ")

    @pytest.mark.parametrize("name", INCOMPLETE)
    def test_as_a_subject_each_is_refused(self, incomplete: Served, name: str) -> None:
        answer = asked(incomplete, subject=f"Patient/{name}")
        assert answer.status_code == 422
        assert answer.json()["issue"][0]["severity"] == "error"

    def test_a_case_entered_in_error_is_no_case(self, registry: Served) -> None:
        wrong = case("case-wrong", "wrong", status="entered-in-error")
        keep(registry.context.database, *COMPLETE, patient("wrong"), wrong)
        found = returned(asked(registry))
        assert [report["resourceType"] for report in found] == ["MeasureReport"] * 2
        assert count(found[0]) == 1


class TestMany:
    CHILDREN = 60

    @pytest.fixture
    async def many(self, tmp_path: Path) -> AsyncIterator[Context]:
        made = context(Settings(database=new_database("sqlite", tmp_path), max_entries=25))
        listed = [HOSPITAL]
        for n in range(self.CHILDREN):
            listed += [patient(f"p{n}"), case(f"c{n}", f"p{n}"), stoma(f"o{n}", f"p{n}")]
        await commit(made.database, Commit([written(each) for each in listed]))
        yield made
        made.database.close()

    async def test_records_are_read_together(
        self, many: Context, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        queries: list[str] = []
        read = SqliteDatabase.read

        def counted(database: SqliteDatabase, sql: str, *more: Any) -> Any:
            queries.append(sql)
            return read(database, sql, *more)

        monkeypatch.setattr(SqliteDatabase, "read", counted)
        answered = await evaluate(many, GIVEN, keep=False)
        assert len(answered["parameter"]) == self.CHILDREN
        assert len(queries) < self.CHILDREN

    async def test_reports_are_stored_in_parts_however_many(self, many: Context) -> None:
        first, again = [await evaluate(many, GIVEN, keep=True) for _ in range(2)]
        ids, same = [
            [each["resource"]["entry"][0]["resource"]["id"] for each in answered["parameter"]]
            for answered in (first, again)
        ]
        assert len(set(ids)) == self.CHILDREN
        assert same == ids

    async def test_others_are_served_between_two_children(self, many: Context) -> None:
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(others())
        await evaluate(many, GIVEN, keep=False)
        task.cancel()
        assert turns >= self.CHILDREN
