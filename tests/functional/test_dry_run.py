"""A Bundle sent to $validate: all that would refuse it, and what each entry would do; nothing is done."""

import json
from typing import Any

import httpx
import pytest

from fhir_server.store import inbox
from tests.support.databases import opened
from tests.support.outcomes import issues, parameters, rule
from tests.support.server import Served

JSON = {"Content-Type": "application/fhir+json"}
URN = "urn:uuid:5b0c1a5e-0000-4000-8000-00000000000{}"
SYSTEM = "https://e.example/dry-run"


def patient(**elements: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "active": True, **elements}


def basic(subject: str, **elements: Any) -> dict[str, Any]:
    about = {"reference": subject}
    return {"resourceType": "Basic", "code": {"text": "x"}, "subject": about, **elements}


def post(resource: dict[str, Any], number: int | None = None, **request: str) -> dict[str, Any]:
    named = {} if number is None else {"fullUrl": URN.format(number)}
    asked = {"method": "POST", "url": resource["resourceType"], **request}
    return {**named, "resource": resource, "request": asked}


def put(resource: dict[str, Any], url: str | None = None, **request: str) -> dict[str, Any]:
    place = url or f"{resource['resourceType']}/{resource['id']}"
    return {"resource": resource, "request": {"method": "PUT", "url": place, **request}}


def asks(method: str, url: str) -> dict[str, Any]:
    return {"request": {"method": method, "url": url}}


def bundle(*entries: Any, kind: str = "transaction") -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def stored(server: Served, resource: dict[str, Any]) -> dict[str, Any]:
    answer = server.http.post(f"/{resource['resourceType']}", json=resource)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def said(answer: httpx.Response) -> list[str]:
    """Return what each entry would do: the rules of the informations, in order."""
    informations = [each for each in issues(answer) if each["severity"] == "information"]
    places = [each["expression"][0] for each in informations]
    assert places == [f"Bundle.entry[{number}]" for number in range(len(places))]
    return [str(rule(each)) for each in informations]


def errors(answer: httpx.Response) -> list[tuple[str, str | None]]:
    """Return code and expression of each error."""
    return [
        (each["code"], each.get("expression", [None])[0])
        for each in issues(answer)
        if each["severity"] in ("error", "fatal")
    ]


def validate(server: Served, *entries: Any, kind: str = "transaction") -> httpx.Response:
    return server.http.post("/$validate", json=bundle(*entries, kind=kind))


def refuses(server: Served, *entries: Any) -> bool:
    """Tell whether the transaction is refused; if it is not, it is now stored."""
    status = server.http.post("/", json=bundle(*entries)).status_code
    assert status in (200, 400, 409, 412, 422)
    return status != 200


class TestWhatWouldHappen:
    def test_each_entry_says_what_it_would_do(self, server: Served) -> None:
        one, two, three = (stored(server, patient()) for _ in range(3))
        entries = [
            post(patient(), 1),
            put({**one, "gender": "female"}),
            put(two),
            asks("DELETE", f"Patient/{three['id']}"),
            asks("DELETE", "Patient/nobody"),
            put(patient(id="dry-new")),
            asks("GET", f"Patient/{one['id']}"),
            post(basic(URN.format(1))),
        ]
        answer = validate(server, *entries)
        assert errors(answer) == []
        assert said(answer) == [
            "would-create", "would-update", "unchanged", "would-delete", "unchanged",
            "would-create", "would-read", "would-create",
        ]  # fmt: skip
        texts = [each["diagnostics"] for each in issues(answer)]
        assert f"Patient/{one['id']} would be updated to version 2." in texts
        assert "Patient/dry-new would be created." in texts
        assert not refuses(server, *entries)

    def test_a_conditional_create_that_finds_its_resource_changes_nothing(
        self, server: Served
    ) -> None:
        number = [{"system": SYSTEM, "value": "once"}]
        first = post(patient(identifier=number), ifNoneExist=f"identifier={SYSTEM}|once")
        assert said(validate(server, first)) == ["would-create"]
        assert not refuses(server, first)
        assert said(validate(server, first)) == ["unchanged"]

    def test_what_was_deleted_would_be_created_anew(self, server: Served) -> None:
        one = stored(server, patient())
        server.http.delete(f"/Patient/{one['id']}")
        answer = validate(server, put(one))
        assert said(answer) == ["would-create"]
        assert "created anew, as version 3" in answer.text

    @pytest.mark.parametrize("kind", ["transaction", "batch"])
    def test_nothing_is_stored_audited_as_a_write_or_kept(self, server: Served, kind: str) -> None:
        one = stored(server, patient())
        with opened(server.context.settings.database) as database:

            def all_there_is() -> Any:
                written = (
                    "SELECT count(*) FROM audit WHERE interaction IN ('create','update','delete')"
                )
                rows = [database.read(sql) for sql in ("SELECT count(*) FROM resource", written)]
                return rows, inbox.tally(database)

            before = all_there_is()
            entries = (
                post(patient()),
                put({**one, "gender": "male"}),
                asks("DELETE", f"Patient/{one['id']}") if kind == "batch" else post(patient()),
                post(patient(gender="wrong")),
            )
            assert len(said(validate(server, *entries, kind=kind))) == 4
            assert all_there_is() == before

    def test_a_bundle_in_parameters_or_of_a_type_is_rehearsed_too(self, server: Served) -> None:
        body = parameters(bundle(post(patient())))
        assert said(server.http.post("/$validate", json=body)) == ["would-create"]
        answer = server.http.post("/Bundle/$validate", json=bundle(post(patient())))
        assert said(answer) == ["would-create"]

    def test_with_a_mode_it_is_the_bundle_that_would_be_stored(self, server: Served) -> None:
        answer = server.http.post("/Bundle/$validate?mode=create", json=bundle(post(patient())))
        assert [each["diagnostics"] for each in issues(answer)] == ["Bundle would be created."]


class TestWhatWouldRefuse:
    """Each of these is refused by the transaction itself, too."""

    def check(self, server: Served, *entries: Any) -> httpx.Response:
        """Rehearse, and hold it against what the transaction does."""
        answer = validate(server, *entries)
        assert errors(answer)
        assert "would-be-refused" in said(answer)
        assert refuses(server, *entries)
        return answer

    def test_what_is_not_valid_and_where_it_stands(self, server: Served) -> None:
        entries = bundle(post(patient()), post(patient(gender="wrong")))
        text = json.dumps(entries, indent=1)
        answer = server.http.post("/$validate", content=text, headers=JSON)
        assert errors(answer) == [("code-invalid", "Bundle.entry[1].resource.gender")]
        line = next(at for at, each in enumerate(text.splitlines(), 1) if "gender" in each)
        assert issues(answer)[0]["location"][0].startswith(f"Line {line}, ")
        assert said(answer) == ["would-create", "would-be-refused"]
        assert "But for the errors of the other entries" in answer.text
        assert refuses(server, *entries["entry"])

    def test_warnings_are_said_too(self, server: Served) -> None:
        unknown = patient(meta={"profile": ["https://e.example/StructureDefinition/nowhere"]})
        found = issues(validate(server, post(unknown)))
        assert [each["severity"] for each in found] == ["warning", "information"]
        assert found[0]["expression"] == ["Bundle.entry[0].resource.meta.profile[0]"]

    def test_entries_that_mean_one_resource(self, server: Served) -> None:
        one, two = stored(server, patient()), stored(server, patient())
        entries = [put(each) for each in (one, one, two, two)]
        answer = self.check(server, *entries)
        twins = [("duplicate", f"Bundle.entry[{n}]") for n in (1, 3)]
        assert [each for each in errors(answer) if each[0] == "duplicate"] == twins

    def test_entries_that_would_create_one_resource_twice(self, server: Served) -> None:
        once = post(patient(), ifNoneExist=f"identifier={SYSTEM}|twice")
        answer = self.check(server, once, once)
        assert ("duplicate", "Bundle.entry[1]") in errors(answer)

    def test_a_full_url_given_twice(self, server: Served) -> None:
        for kind in ("transaction", "batch"):
            entries = bundle(post(patient(), 1), post(patient(), 1), kind=kind)
            found = [
                [(rule(each), each["expression"]) for each in outcome.json()["issue"]]
                for outcome in (
                    server.http.post(path, json=entries) for path in ("/$validate", "/")
                )
            ]
            assert found == [[("bdl-7", ["Bundle.entry[1].fullUrl"])]] * 2

    def test_references_that_lead_to_nobody(self, server: Served) -> None:
        answer = self.check(
            server,
            post(basic("Patient/nowhere")),
            post(basic(URN.format(9))),
            post(basic(f"Patient?identifier={SYSTEM}|nobody")),
            post(patient(gender="wrong", managingOrganization={"reference": "Organization/no"})),
        )
        assert errors(answer) == [
            ("not-found", "Bundle.entry[1].resource"),
            ("not-found", "Bundle.entry[2].resource"),
            ("code-invalid", "Bundle.entry[3].resource.gender"),
            ("not-found", "Bundle.entry[0].resource"),
            ("not-found", "Bundle.entry[3].resource"),
        ]

    def test_a_reference_to_what_another_entry_deletes(self, server: Served) -> None:
        one = stored(server, patient())
        place = f"Patient/{one['id']}"
        answer = self.check(server, asks("DELETE", place), post(basic(place)))
        assert errors(answer) == [("not-found", "Bundle.entry[1].resource")]

    def test_a_patch_by_which_a_reference_leads_to_nobody(self, server: Served) -> None:
        one = stored(server, patient())
        other = stored(server, basic(f"Patient/{one['id']}"))
        operation = {
            "name": "operation",
            "part": [
                {"name": "type", "valueCode": "replace"},
                {"name": "path", "valueString": "Basic.subject.reference"},
                {"name": "value", "valueString": "Patient/nowhere"},
            ],
        }
        changes = {"resourceType": "Parameters", "parameter": [operation]}
        request = {"method": "PATCH", "url": f"Basic/{other['id']}"}
        answer = self.check(server, {"resource": changes, "request": request})
        assert errors(answer) == [("not-found", "Bundle.entry[0].resource")]

    def test_a_patch_of_nothing(self, server: Served) -> None:
        changes = {"resourceType": "Parameters"}
        request = {"method": "PATCH", "url": "Basic/nowhere"}
        answer = validate(server, {"resource": changes, "request": request}, post(patient()))
        assert [each[0] for each in errors(answer)] == ["not-found"]
        assert said(answer) == ["would-be-refused", "would-create"]

    def test_the_deletion_of_what_is_referred_to(self, server: Served) -> None:
        one = stored(server, patient())
        place = f"Patient/{one['id']}"
        other = stored(server, basic(place))
        deletion = asks("DELETE", place)
        for entries in ((deletion,), (deletion, put(other))):
            answer = self.check(server, *entries)
            assert ("conflict", "Bundle.entry[0]") in errors(answer)
            assert f"Basic/{other['id']}" in answer.text

    def test_unless_what_refers_to_it_is_deleted_or_changed_as_well(self, server: Served) -> None:
        one, two = stored(server, patient()), stored(server, patient())
        place = f"Patient/{one['id']}"
        others = [stored(server, basic(place)) for _ in range(2)]
        entries = [
            asks("DELETE", place),
            asks("DELETE", f"Basic/{others[0]['id']}"),
            put({**others[1], "subject": {"reference": f"Patient/{two['id']}"}}),
        ]
        answer = validate(server, *entries)
        assert errors(answer) == []
        assert said(answer) == ["would-delete", "would-delete", "would-update"]
        assert not refuses(server, *entries)

    @pytest.mark.parametrize("how", ["create", "update", "delete"])
    def test_criteria_that_match_several(self, server: Served, how: str) -> None:
        number = [{"system": SYSTEM, "value": f"several-{how}"}]
        for _ in range(2):
            stored(server, patient(identifier=number))
        criteria = f"identifier={SYSTEM}|several-{how}"
        entry = {
            "create": post(patient(), ifNoneExist=criteria),
            "update": put(patient(), f"Patient?{criteria}"),
            "delete": asks("DELETE", f"Patient?{criteria}"),
        }[how]
        answer = self.check(server, entry)
        assert [each[0] for each in errors(answer)] == ["multiple-matches"]

    def test_criteria_that_are_blank(self, server: Served) -> None:
        answer = self.check(server, put(patient(), "Patient?identifier="))
        assert [each[0] for each in errors(answer)] == ["required"]

    def test_if_match_of_another_version(self, server: Served) -> None:
        one = stored(server, patient())
        answer = self.check(server, put(one, ifMatch='W/"7"'), post(patient()))
        assert errors(answer) == [("conflict", "Bundle.entry[0]")]

    def test_a_search_that_is_not_served(self, server: Served) -> None:
        answer = self.check(server, asks("GET", "Patient?familly=x"), post(patient()))
        assert errors(answer) == [("not-supported", "Bundle.entry[0].request.url")]

    def test_entries_that_cannot_be_read(self, server: Served) -> None:
        broken = {"resource": patient(), "request": {"method": "POST", "url": "Nobody"}}
        answer = validate(server, broken, {"resource": patient()}, post(patient()))
        places = {place for _, place in errors(answer)}
        assert {"Bundle.entry[0].request.url", "Bundle.entry[1].request"} <= places
        assert refuses(server, broken, {"resource": patient()})

    def test_more_entries_than_are_taken(self, server: Served) -> None:
        most = server.context.settings.max_entries
        answer = validate(server, *[post(patient())] * (most + 1))
        assert ("too-long", "Bundle.entry") in errors(answer)


class TestBatch:
    def test_an_entry_that_would_be_refused_hinders_no_other_one(self, server: Served) -> None:
        entries = (post(patient()), post(basic("Patient/nowhere")), asks("GET", "Patient?x=y"))
        answer = validate(server, *entries, kind="batch")
        assert said(answer) == ["would-create", "would-be-refused", "would-be-refused"]
        assert "But for" not in answer.text
        done = server.http.post("/", json=bundle(*entries, kind="batch")).json()["entry"]
        assert [each["response"]["status"][:3] for each in done] == ["201", "422", "400"]

    def test_each_entry_is_held_against_what_is_stored_now(self, server: Served) -> None:
        one = stored(server, patient())
        answer = validate(server, put(one), put({**one, "gender": "male"}), kind="batch")
        assert said(answer) == ["unchanged", "would-update"]
