"""A registry of fictitious children that an analyst asks, and all of theirs that must not leave.

Each child's dates lie within a few weeks, and years apart from all other children's, so that no shifted
date is a true one by chance.
"""

import asyncio
import json
import random
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from fhir_server.context import Principal
from fhir_server.operations.working import work_off
from fhir_server.rest.reading import resource
from fhir_server.settings import Settings
from tests.support.hospitals import ODS, Asking

ANALYST, REGISTRY = "analyst", "registry"
OPCS, SNOMED = "https://fhir.hl7.org.uk/CodeSystem/OPCS-4", "http://snomed.info/sct"
POLICY = """\
version = "test-1"
approved = "Nobody: this policy is fictitious."
shift_days = [40, 300]
birth_date = "month"
postcode = "district"
"""
LONDON_WINTER = "+00:00"


class Callers:
    """Who calls is said by a header."""

    sessions = sittings = None

    def identify(self, _host: Any, headers: Any, _method: str = "GET") -> Principal:
        name = headers.get(b"x-client", b"registry").decode()
        role = REGISTRY if name == REGISTRY else ANALYST
        return Principal(name, frozenset({role}))


def settings(folder: Path, database: str, **more: Any) -> Settings:
    """Return the settings of a registry that has analysts."""
    policy = folder / "policy.toml"
    policy.write_text(POLICY)
    named = {"pseudonym_key": folder / "pseudonyms.toml", "pseudonym_policy": policy, **more}
    return Settings(database=database, bulk_folder=folder / "bulk", **named)


@dataclass
class Child:
    """A child, as it is stored: its resources, and every text and date of it that must not leave."""

    resources: list[dict[str, Any]] = field(default_factory=list)

    @property
    def patient(self) -> dict[str, Any]:
        return self.resources[0]

    @property
    def secrets(self) -> set[str]:
        return set(secrets(self.resources))


_OPEN = frozenset({
    "resourceType", "system", "code", "status", "gender", "unit", "comparator", "use", "type", "mode",
    "url", "profile", "contentType", "questionnaire", "linkId", "start", "lifecycleStatus", "intent",
})  # fmt: skip
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


def secrets(node: Any, key: str = "") -> Iterable[str]:
    """Yield the texts below a node but those of codes; of moments their days; of references their ids."""
    if isinstance(node, dict):
        for name, value in node.items():
            yield from secrets(value, name)
    elif isinstance(node, list):
        for each in node:
            yield from secrets(each, key)
    elif isinstance(node, str):
        if found := _DAY.match(node):
            yield found[0]
        elif key == "reference":
            yield node.partition("/")[2]
        elif key not in _OPEN and len(node) > 2:
            yield node


def child(number: int, chance: random.Random, hospital: str) -> Child:
    """Return a child of a hospital (`Organization/…`), with texts and dates of its own everywhere."""
    key = f"child-{number}-{chance.randrange(10**9)}"
    born = date(1850 + 8 * number, 1, 6) + timedelta(chance.randrange(20))

    def word(what: str) -> str:
        return f"{what}-{number}-{chance.randrange(10**9)}"

    def at(days: int) -> str:
        clock = f"{chance.randrange(24):02}:{chance.randrange(60):02}:{chance.randrange(60):02}"
        return f"{born + timedelta(days)}T{clock}.{chance.randrange(1000):03}{LONDON_WINTER}"

    def coded(system: str, code: str) -> dict[str, Any]:
        coding = {"system": system, "code": code, "display": word("display")}
        local = {"system": f"https://local.example/{key}", "code": word("localcode")}
        return {"coding": [coding, local], "text": word("text")}

    number_of = {"system": "https://local.example/mrn", "value": word("mrn")}
    patient = {
        "resourceType": "Patient", "id": key, "active": True,
        "identifier": [number_of], "gender": chance.choice(["male", "female"]),
        "name": [{"family": word("Family"), "given": [word("Given")], "text": word("Named")}],
        "telecom": [{"system": "phone", "value": word("phone")}],
        "address": [{"line": [word("Street")], "city": word("City"), "postalCode": f"LS{number} 4DT"}],
        "birthDate": str(born), "_birthDate": {"extension": [{
            "url": "http://hl7.org/fhir/StructureDefinition/patient-birthTime", "valueDateTime": at(0),
        }]},
        "contact": [{"name": {"text": word("Mother")}, "gender": "female"}],
        "text": {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{word("div")}</div>'},
        "extension": [{"url": "https://local.example/x", "valueString": word("extension")}],
    }  # fmt: skip
    subject = {"reference": f"Patient/{key}", "display": word("subject")}
    first = sorted(chance.sample(range(20), 2))
    visit = {
        "resourceType": "Encounter", "id": f"v-{key}", "status": "finished", "subject": subject,
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
        "period": {"start": at(first[0]), "end": at(first[1])}, "identifier": [number_of],
        "serviceProvider": {"reference": hospital, "display": word("hospital")},
    }  # fmt: skip
    made = Child([patient, visit])
    encounter = {"reference": f"Encounter/v-{key}"}
    for each in range(chance.randrange(1, 3)):
        made.resources.append({
            "resourceType": "Procedure", "id": f"p{each}-{key}", "status": "completed",
            "subject": subject, "encounter": encounter,
            "code": coded(OPCS, chance.choice(["H01.1", "G45.1"])),
            "performedDateTime": at(chance.randrange(20)), "note": [{"text": word("note")}],
            "performer": [{"actor": {"display": word("surgeon")}}],
        })  # fmt: skip
    for each in range(chance.randrange(1, 4)):
        value: dict[str, Any] = chance.choice([
            {"valueString": word("answer")}, {"valueBoolean": True},
            {"valueQuantity": {
                "value": chance.randrange(1, 5000), "system": "http://unitsofmeasure.org", "code": "g",
                "unit": word("unit"),
            }},
            {"valueQuantity": {"value": 7, "unit": word("unitonly")}},
            {"valueDateTime": str(born + timedelta(chance.randrange(20)))},
            {"valueCodeableConcept": coded(SNOMED, "80146002")},
        ])  # fmt: skip
        made.resources.append({
            "resourceType": "Observation", "id": f"o{each}-{key}", "status": "final",
            "subject": subject, "encounter": encounter, "effectiveDateTime": at(chance.randrange(20)),
            "code": coded(SNOMED, "27113001"), "note": [{"text": word("note")}], **value,
        })  # fmt: skip
    made.resources.append({
        "resourceType": "Condition", "id": f"c-{key}", "subject": subject,
        "code": coded(SNOMED, "80146002"), "recordedDate": str(born + timedelta(chance.randrange(20))),
        "identifier": [number_of],
    })  # fmt: skip
    return made


@dataclass
class Registry:
    """The door of a registry, and the children in it."""

    ask: Asking
    children: list[Child]

    @property
    def secrets(self) -> set[str]:
        return set().union(*(each.secrets for each in self.children))

    def get(self, url: str, who: str = ANALYST, **more: Any) -> Any:
        return self.ask.get(who, url, **more)

    def found(self, url: str, who: str = ANALYST) -> list[dict[str, Any]]:
        """Return what a search finds, page by page, as the links lead."""
        listed: list[dict[str, Any]] = []
        following: str | None = url
        while following:
            answer = self.get(following, who)
            assert answer.status_code == 200, answer.text
            bundle = answer.json()
            listed += [each["resource"] for each in bundle.get("entry", ())]
            links = {each["relation"]: each["url"] for each in bundle["link"]}
            following = links["next"].partition("/fhir")[2] if "next" in links else None
        return listed

    def exported(self, url: str, who: str = ANALYST) -> tuple[str, dict[str, list[dict[str, Any]]]]:
        """Export, and return the path of the job and the resources of each type."""
        begun = self.get(url, who, headers={"Prefer": "respond-async"})
        assert begun.status_code == 202, begun.text
        job = begun.headers["Content-Location"].partition("/fhir")[2]
        manifest = self.waited(job, who)
        found = {}
        for each in manifest["output"]:
            lines = self.get(each["url"].partition("/fhir")[2], who).text.splitlines()
            found[each["type"]] = [json.loads(line) for line in lines]
            assert len(lines) == each["count"]
        return job, found

    def waited(self, job: str, who: str = ANALYST) -> Any:
        """Have the jobs worked off until one is over; returns its manifest."""
        return self.ask.runner.run(_worked(self.ask, who, job))

    def told(self, answer: Any) -> str:
        """Return all that an answer says: body, headers and links."""
        headers = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
        return f"{headers}\n{answer.text}"


async def _worked(ask: Asking, who: str, job: str) -> Any:
    working = asyncio.create_task(work_off(ask.made, resource))
    try:
        while True:
            found = await ask.http.get(f"/fhir{job}", headers={"X-Client": who})
            if found.status_code != 202:
                assert found.status_code == 200, found.text
                return found.json()
            await asyncio.sleep(0.02)
    finally:
        working.cancel()


def filled(ask: Asking, many: int, seed: int) -> Registry:
    """Store a hospital and children of it."""
    chance = random.Random(seed)  # noqa: S311 - the same each time
    told = {
        "resourceType": "Organization", "id": "hospital-of-all", "name": "Hospital of Somewhere",
        "identifier": [{"system": ODS, "value": "RN1"}],
    }  # fmt: skip
    assert ask(REGISTRY, "PUT", "/Organization/hospital-of-all", json=told).status_code == 201
    made = [child(number, chance, "Organization/hospital-of-all") for number in range(many)]
    for each in made:
        entries = [
            {
                "resource": one,
                "request": {"method": "PUT", "url": f"{one['resourceType']}/{one['id']}"},
            }
            for one in each.resources
        ]
        answer = ask.send(REGISTRY, *entries)
        assert answer.status_code == 200, answer.text
    return Registry(ask, made)


def days_of(node: Any) -> list[str]:
    """List the days below a node, in the order in which they stand."""
    return re.findall(r"\d{4}-\d\d-\d\d", json.dumps(node))


def clock(text: str) -> datetime:
    """Return a moment, in winter, as the clock on the wall has it."""
    return datetime.fromisoformat(text).replace(tzinfo=None)
