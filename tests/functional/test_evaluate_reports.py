"""What `$evaluate` can be asked for: several measures, Groups, hospitals, lists of children, strata."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from fhir_server.context import Context
from fhir_server.interactions.transaction import transaction
from fhir_server.operations.evaluation_asked import Asked
from fhir_server.operations.evaluation_outcomes import Evaluated, evaluated
from outcome_engine import NotAssessable, Period
from outcome_engine.reports.groups import stratum_of
from r4.json import encode
from tests.functional.test_evaluate import MEASURE, Resource, case, patient, stoma
from tests.support.databases import KINDS
from tests.support.deqm import violations
from tests.support.returned import reports, returned
from tests.support.server import Served, put, served

pytestmark = pytest.mark.postgresql_slow

JSON = {"Content-Type": "application/fhir+json"}
YEARS = {"periodStart": "2012", "periodEnd": "2013"}
HOSPITALS = ("north", "south")
HALF = [
    {"entity": {"reference": f"Patient/{each}"}}
    for each in ("p0", "p1", "p2", "p3", "p4", "q3", "q4", "q5", "q6")
]
"""About half of each hospital's children: five of the north's twelve, four of the south's eleven."""


def children() -> Iterator[Resource]:
    """Twelve children of two hospitals and two years, every third with a bad outcome; and eleven before."""
    for hospital in HOSPITALS:
        yield {"resourceType": "Organization", "id": hospital, "name": f"Fictitious {hospital}"}
    for n in range(12):
        year = 2012 + n % 2
        place = {"reference": f"Organization/{HOSPITALS[n // 9]}"}
        yield patient(f"p{n}", birthDate=f"{year}-03-01")
        yield case(f"c{n}", f"p{n}", f"{year}-03-04", managingOrganization=place)
        if n % 3 == 0:
            yield stoma(f"o{n}", f"p{n}")
    for n in range(11):  # of another year: the outcomes of three in the north are not known
        place = {"reference": f"Organization/{HOSPITALS[n // 3 > 0]}"}
        yield patient(f"q{n}", birthDate="2010-03-01")
        yield case(f"d{n}", f"q{n}", "2010-03-04", managingOrganization=place)
        if n >= 3:
            yield stoma(f"r{n}", f"q{n}")
    members = [{"entity": {"reference": f"Patient/p{n}"}} for n in range(4)]
    members.append({"entity": {"reference": "Patient/p9"}, "inactive": True})
    yield group("some", members)
    yield group("half", HALF)


def group(id: str, members: list[Resource]) -> Resource:
    found = {"resourceType": "Group", "id": id, "type": "person", "actual": True}
    return {**found, "name": "Fictitious group", "member": members}


@pytest.fixture(scope="module", params=KINDS)
def registry(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A registry of two hospitals and twelve children, all fictitious."""
    with served(tmp_path_factory.mktemp("registry"), request.param) as running:
        put(running, *children())
        yield running


def ask(server: Served, operation: str = "$evaluate", **given: Any) -> Any:
    return server.http.get(
        f"/Measure/{operation}", params={"measureUrl": MEASURE, **YEARS, **given}
    )


def post(server: Served, operation: str = "$evaluate", **given: Any) -> Any:
    return server.http.post(
        f"/Measure/{operation}", params={"measureUrl": MEASURE, **YEARS, **given}
    )


def counted(report: Resource) -> int:
    found: int = report["group"][0]["population"][0]["count"]
    return found


def subjects(found: list[Resource]) -> set[str]:
    return {each["subject"]["reference"] for each in found}


def test_every_report_keeps_the_rules_of_deqm(registry: Served) -> None:
    for kind, number in (("individual", 12), ("summary", 3), ("subject-list", 13)):
        found = reports(ask(registry, reportType=kind))
        assert len(found) == number
        assert [violations(each) for each in found] == [[]] * number


def test_a_period_may_be_given_by_years_and_months(registry: Served) -> None:
    for start, end, number in (
        ("2012", "2012", 6),
        ("2012-03", "2013-02", 6),
        ("2012", "2013", 12),
    ):
        report = reports(ask(registry, periodStart=start, periodEnd=end))[0]
        assert counted(report) == number
    assert report["period"] == {"start": "2012-01-01", "end": "2013-12-31"}
    (_, end) = reports(ask(registry, periodStart="2012-01", periodEnd="2012-02"))[0][
        "period"
    ].values()
    assert end == "2012-02-29"


def test_a_summary_is_divided_by_condition_year_and_hospital(registry: Served) -> None:
    national = reports(ask(registry))[0]
    found = {
        each["code"][0]["coding"][0]["code"]: each["stratum"]
        for each in national["group"][0]["stratifier"]
    }
    assert [stratum_of(each) for each in found["condition"]] == ["hirschsprung"]
    years = {stratum_of(each): each["population"][0]["count"] for each in found["year"]}
    assert years == {"2012": 6, "2013": 6}
    places = {stratum_of(each): each["population"][0].get("count") for each in found["hospital"]}
    assert places == {"Organization/north": 10, "Organization/south": None}


def test_a_provider_is_the_reporter_and_its_cases_are_reported(registry: Served) -> None:
    for name in ("provider", "reporter"):
        (report,) = reports(ask(registry, **{name: "Organization/north"}))
        assert report["reporter"] == {"reference": "Organization/north"}
        assert counted(report) == 10
    assert len(reports(ask(registry, reportType="individual", provider="Organization/south"))) == 3


def test_a_hospital_that_is_asked_for_alone_is_told_what_it_is_told_beside_the_others(
    registry: Served,
) -> None:
    """The nation's three unknown outcomes are all the north's: the south's 0 would tell that."""
    year = {"periodStart": "2010", "periodEnd": "2010"}
    _, *together = reports(ask(registry, **year))
    for hospital, beside in zip(HOSPITALS, together, strict=True):
        for name in ("provider", "reporter"):
            (alone,) = reports(ask(registry, **year, **{name: f"Organization/{hospital}"}))
            assert alone["group"] == beside["group"]
        exceptions = [
            each for each in alone["group"][0]["population"]
            if each["id"] == "denominator-exception"
        ]  # fmt: skip
        assert ["count" in each for each in exceptions] == [False]


def test_a_hospital_without_cases_has_a_report_of_nobody(registry: Served) -> None:
    (report,) = reports(
        ask(registry, periodStart="2001", periodEnd="2001", provider="Organization/south")
    )
    assert counted(report) == 0
    assert report["reporter"] == {"reference": "Organization/south"}


def test_a_bundle_of_a_subject_holds_what_its_report_refers_to(registry: Served) -> None:
    (parameter,) = ask(registry, subject="Patient/p0").json()["parameter"]
    report, *others = parameter["resource"]["entry"]
    assert report["fullUrl"].startswith("urn:uuid:")
    used = {each["reference"] for each in report["resource"]["evaluatedResource"]}
    assert {f"{e['resource']['resourceType']}/{e['resource']['id']}" for e in others} == used
    assert {"Patient/p0", "EpisodeOfCare/c0", "Observation/o0"} == used


def test_the_members_of_a_stored_group_are_reported(registry: Served) -> None:
    found = reports(ask(registry, subject="Group/some", reportType="individual"))
    assert subjects(found) == {f"Patient/p{n}" for n in range(4)}
    wide = {"periodStart": "2010", "subject": "Group/half"}
    (summary,) = reports(ask(registry, **wide))
    assert summary["type"] == "summary"
    assert summary["subject"] == {"reference": "Group/half"}
    assert counted(summary) == 10, "nine, rounded"
    (both,) = reports(ask(registry, periodStart="2001", periodEnd="2001", subject="Group/half"))
    assert counted(both) == 0


def test_a_group_that_is_small_or_close_to_whole_hospitals_is_not_summarised(
    registry: Served,
) -> None:
    """Of the north's nine children five: four, or five, could be computed of the two."""
    for about in ({"subject": "Group/some"}, {"periodStart": "2010", "subject": "Group/some"}):
        answer = ask(registry, **about)
        assert answer.status_code == 422
        (issue,) = answer.json()["issue"]
        assert issue["code"] == "business-rule"
        assert "fewer than 8 children" in issue["diagnostics"]


def test_a_group_may_be_given_with_the_request(registry: Served) -> None:
    members = [*HALF]

    def given(**more: Any) -> Any:
        listed = [{"name": "measureUrl", "valueString": MEASURE}]
        years = {**YEARS, "periodStart": "2010"}
        listed += [{"name": name, "valueDate": day} for name, day in years.items()]
        listed.append({"name": "subjectGroup", "resource": group("given", members)})
        listed += [{"name": name, "valueString": value} for name, value in more.items()]
        body = {"resourceType": "Parameters", "parameter": listed}
        return registry.http.post("/Measure/$evaluate", content=encode(body), headers=JSON)

    (summary,) = reports(given())
    assert summary["subject"] == {"display": "Fictitious group"}
    assert counted(summary) == 10, "nine, rounded"
    assert "id" not in summary, "a Group that is not stored has no report that is"
    found = reports(given(reportType="individual"))
    assert subjects(found) == {each["entity"]["reference"] for each in members}
    assert given(subject="Patient/p1").status_code == 400
    members.append({"entity": {"reference": "Patient/nobody"}})
    assert given().status_code == 404


def test_a_subject_list_refers_to_the_reports_beside_it(registry: Served) -> None:
    (parameter,) = ask(registry, reportType="subject-list").json()["parameter"]
    listing, *own = parameter["resource"]["entry"]
    places = {each["fullUrl"]: each["resource"]["subject"]["reference"] for each in own}
    assert len(places) == 12
    lists = {f"#{each['id']}": each for each in listing["resource"]["contained"]}
    whole = listing["resource"]["group"][0]["population"][0]["subjectResults"]["reference"]
    assert {each["item"]["reference"] for each in lists[whole]["entry"]} == set(places)


def test_a_posted_subject_list_refers_to_stored_reports(registry: Served) -> None:
    first, again = (returned(post(registry, reportType="subject-list")) for _ in range(2))
    assert [each["id"] for each in first] == [each["id"] for each in again]
    stored = registry.http.get(f"/MeasureReport/{first[0]['id']}").json()
    assert stored["contained"] == again[0]["contained"]
    item = stored["contained"][0]["entry"][0]["item"]["reference"]
    assert registry.http.get(f"/{item}").json()["type"] == "individual"
    summary = reports(post(registry))[0]
    assert summary["id"] != first[0]["id"], "a list does not replace the summary"


def test_r4s_operation_gives_one_report_of_each_type(registry: Served) -> None:
    for name in ("measure", "measureUrl"):
        given = {name: MEASURE, **YEARS, "reportType": "population"}
        answer = registry.http.get("/Measure/$evaluate-measure", params=given)
        assert (answer.json()["type"], counted(answer.json())) == ("summary", 12)
    listing = post(registry, "$evaluate-measure", reportType="subject-list").json()
    assert (listing["type"], counted(listing)) == ("subject-list", 12)
    assert ask(registry, "$evaluate-measure", reportType="subject-list").status_code == 400
    assert ask(registry, "$evaluate-measure", reportType="individual").status_code == 400


def test_a_measure_named_twice_is_evaluated_once_and_an_unknown_one_is_refused(
    registry: Served,
) -> None:
    given = [("measureUrl", MEASURE), ("measureUrl", f"{MEASURE}|0.2.0"), *YEARS.items()]
    assert len(reports(registry.http.get("/Measure/$evaluate", params=given))) == 3
    unknown = [*given, ("measureUrl", f"{MEASURE}-of-nothing")]
    assert registry.http.get("/Measure/$evaluate", params=unknown).status_code == 404


def test_a_report_says_what_it_was_made_from(registry: Served) -> None:
    report = reports(ask(registry))[0]
    (made,) = [each for each in report["extension"] if each["url"].endswith("/report-provenance")]
    parts = {part["url"]: part for part in made["extension"]}
    assert parts["measure"]["valueCanonical"] == report["measure"]
    assert parts["library"]["valueCanonical"].startswith(MEASURE.replace("Measure/", "Library/"))
    assert parts["snapshot"]["valueInstant"] <= report["date"]
    software = registry.http.get("/metadata").json()["software"]
    assert parts["software"]["valueString"] == f"{software['name']} {software['version']}"


def snapshot(report: Resource) -> str:
    (made,) = [each for each in report["extension"] if each["url"].endswith("/report-provenance")]
    (found,) = [part["valueInstant"] for part in made["extension"] if part["url"] == "snapshot"]
    return str(found)


def undated(found: list[Resource]) -> list[Resource]:
    return [{key: value for key, value in each.items() if key != "date"} for each in found]


class TestThePast:
    @pytest.fixture
    def before(self, registry: Served) -> Iterator[list[Resource]]:
        """Give all reports of a moment after which one child's outcome, and another's hospital, changed."""

        found = [*reports(ask(registry)), *reports(ask(registry, reportType="individual"))]
        was, now = [{"reference": f"Organization/{each}"} for each in ("south", "north")]
        put(registry, stoma("later", "p1"))
        put(registry, case("c10", "p10", "2012-03-04", managingOrganization=now))
        yield found
        assert registry.http.delete("/Observation/later").status_code == 200
        put(registry, case("c10", "p10", "2012-03-04", managingOrganization=was))

    def test_a_report_of_the_past_is_made_again_as_it_was(
        self, registry: Served, before: list[Resource]
    ) -> None:
        after = [*reports(ask(registry)), *reports(ask(registry, reportType="individual"))]
        assert undated(after) != undated(before)
        for kind, was in (("summary", before[:3]), ("individual", before[3:])):
            again = reports(ask(registry, reportType=kind, _at=snapshot(was[0])))
            assert [snapshot(each) for each in again] == [snapshot(was[0])] * len(was)
            assert undated(again) == undated(was)

    def test_it_is_not_stored_in_place_of_the_present_one(
        self, registry: Served, before: list[Resource]
    ) -> None:
        stored = reports(post(registry))
        past = reports(post(registry, _at=snapshot(before[0])))
        assert all("id" not in each for each in past)
        kept = registry.http.get(f"/MeasureReport/{stored[0]['id']}").json()
        assert snapshot(kept) == snapshot(stored[0])

    @pytest.mark.parametrize("at", ["2012", "2012-01-01", "yesterday", "2999-01-01T00:00:00Z"])
    def test_a_moment_is_an_instant_that_has_been(self, registry: Served, at: str) -> None:
        answer = ask(registry, _at=at)
        assert answer.status_code == 400
        assert answer.json()["issue"][0]["expression"] == ["Parameters.parameter('_at')"]

    def test_before_anything_was_stored_there_is_nobody(self, registry: Served) -> None:
        (national,) = reports(ask(registry, _at="2001-01-01T00:00:00Z"))
        assert counted(national) == 0


@pytest.mark.parametrize(
    "name",
    ["practitioner", "providerResource", "location", "parameters", "manifest", "lastReceivedOn"],
)
def test_a_parameter_that_means_nothing_here_is_refused_by_name(
    registry: Served, name: str
) -> None:
    answer = ask(registry, **{name: "x"})
    assert answer.status_code == 400
    (issue,) = answer.json()["issue"]
    assert issue["expression"] == [f"Parameters.parameter('{name}')"]
    assert name in issue["diagnostics"]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"reportType": "subject-list", "subject": "Patient/p0"}, 400),
        ({"subject": "Group/none"}, 404),
        ({"provider": "Organization/none"}, 404),
        ({"provider": "Practitioner/p0"}, 404),
        ({"provider": "Organization/north", "reporter": "Organization/north"}, 400),
        ({"subjectGroup": "Group/some"}, 400),
    ],
)
def test_what_does_not_fit_together_is_refused(
    registry: Served, change: dict[str, str], status: int
) -> None:
    assert ask(registry, **change).status_code == status


def test_a_hospital_is_told_of_its_own_children_alone_who_cannot_be_assessed() -> None:
    """Where hospitals are compared, the others' children are read too."""
    own = NotAssessable("EpisodeOfCare/own", "Organization/north", "Nobody is known.")
    other = NotAssessable("EpisodeOfCare/other", "Organization/south", "Nobody is known.")
    period, at = Period("2012-01-01", "2012-12-31"), datetime(2024, 1, 1, tzinfo=UTC)
    for hospital, told in (("Organization/north", [own]), (None, [own, other])):
        asked = Asked((MEASURE,), period, "summary", hospital=hospital)
        assert Evaluated(asked, at, {MEASURE: [own, other]}).left_out() == told


@pytest.mark.parametrize("kind", ["summary", "subject-list", "individual"])
def test_of_a_groups_records_is_held_what_its_members_own_reports_bring_along(
    run: Any, kind: str
) -> None:
    group, years = {"reference": "Group/some"}, Period("2012-01-01", "2013-12-31")
    asked = Asked((MEASURE,), years, kind, ("Patient/p0", "Patient/p1"), group)
    entries = [
        {"resource": each, "request": {"method": "PUT", "url": f"{each['resourceType']}/{each['id']}"}}
        for each in children()
    ]  # fmt: skip

    async def work(made: Context) -> None:
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        await transaction(made, bundle)
        found = await evaluated(made, asked)
        assert len(found.outcomes[MEASURE]) == 2
        assert bool(found.resources) is (kind == "individual")
        assert bool(found.texts) is (kind != "summary")

    run(work)
