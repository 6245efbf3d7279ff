"""Random registries of several hospitals, and who of them sees what, told without the store.

Children with visits at one or more hospitals, transfers, records that were merged, and resources that
refer to one another in the ways that a search can follow.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from r4.json import Resource, encode

ODS = "https://fhir.nhs.uk/Id/ods-organization-code"
HOSPITALS = ("RA1", "RB2", "RC3")
SURGEONS = ("s1", "s2", "s3")
PLAN = "https://wards.example/plan"
_CODES = ("a", "b", "c")
_PUBLIC = frozenset({"Organization", "Practitioner", "Location", "PlanDefinition", "Measure"})


def reference(kind: str, key: str) -> dict[str, str]:
    return {"reference": f"{kind}/{key}"}


def coded(code: str) -> dict[str, Any]:
    return {"coding": [{"system": "urn:wards", "code": code}]}


@dataclass
class World:
    """What was written, in order (None: a deletion), and what stands now, by place."""

    writes: list[tuple[str, Resource | None]] = field(default_factory=list)
    standing: dict[str, Resource] = field(default_factory=dict)

    def put(self, kind: str, key: str, **elements: Any) -> None:
        resource = {"resourceType": kind, "id": key, **elements}
        place = f"{kind}/{key}"
        self.standing.pop(place, None)  # it is found where it was last written
        self.standing[place] = resource
        self.writes.append((place, resource))

    def delete(self, place: str) -> None:
        del self.standing[place]
        self.writes.append((place, None))

    def of(self, kind: str) -> list[str]:
        return [place.partition("/")[2] for place in self.standing if place.startswith(f"{kind}/")]


def world(random: Random, children: int = 11, events: int = 100) -> World:
    made = World()
    for code in HOSPITALS:
        number = [{"system": ODS, "value": code}]
        made.put("Organization", code, identifier=number, name=f"Hospital {code}")
        made.put(
            "Organization", f"{code}-ward", name="Ward", partOf=reference("Organization", code)
        )
        made.put(
            "Location", f"{code}-theatre", managingOrganization=reference("Organization", code)
        )
        made.put(
            "MeasureReport", f"{code}-report", status="complete", type="summary",
            measure="https://wards.example/measure", subject=reference("Organization", code),
        )  # fmt: skip
    for key in SURGEONS:
        made.put("Practitioner", key, name=[{"family": f"Surgeon {key}"}])
    for code in _CODES:
        made.put("PlanDefinition", f"plan-{code}", url=f"{PLAN}/{code}", status="active", name=code)
    made.put("MeasureReport", "nation", status="complete", type="summary",
             measure="https://wards.example/measure")  # fmt: skip
    for number in range(children):
        _register(made, random, f"c{number}")
    for number in range(events):
        _happen(made, random, number)
    made.put("Group", "g", type="person", actual=True,
             member=[{"entity": reference("Patient", each)} for each in made.of("Patient")])  # fmt: skip
    return made


def _register(made: World, random: Random, key: str) -> None:
    told: dict[str, Any] = {"name": [{"family": random.choice(("Wren", "Heron", "Swift"))}]}
    told["gender"] = random.choice(("female", "male"))
    told["birthDate"] = f"202{random.randint(0, 4)}-0{random.randint(1, 9)}-01"
    if random.random() < 0.3:
        told["managingOrganization"] = reference("Organization", random.choice(HOSPITALS))
    others = made.of("Patient")
    if others and random.random() < 0.1:
        told["link"] = [{"other": reference("Patient", random.choice(others)), "type": "seealso"}]
    if random.random() < 0.4:
        told["generalPractitioner"] = [reference("Practitioner", random.choice(SURGEONS))]
    made.put("Patient", key, **told)


def _visit(made: World, random: Random, key: str, child: str) -> None:
    told: dict[str, Any] = {
        "status": random.choice(("finished", "in-progress", "entered-in-error")),
        "class": {"code": "IMP"},
        "subject": reference("Patient", child),
        "period": {"start": f"2024-0{random.randint(1, 9)}-02"},
    }
    where = random.choice((*HOSPITALS, *(f"{code}-ward" for code in HOSPITALS), ""))
    if where:
        told["serviceProvider"] = reference("Organization", where)
    made.put("Encounter", key, **told)


def _happen(made: World, random: Random, number: int) -> None:
    child = random.choice(made.of("Patient"))
    event = _visit if number < 3 else random.choice(_EVENTS)
    event(made, random, f"n{number}", child)


def _observe(made: World, random: Random, key: str, child: str) -> None:
    seen = made.of("Observation")
    told: dict[str, Any] = {
        "status": "final", "code": coded(random.choice(_CODES)),
        "valueQuantity": {"value": random.randint(1, 50), "unit": "kg"},
        "effectiveDateTime": f"2024-0{random.randint(1, 9)}-03",
    }  # fmt: skip
    if random.random() < 0.85:
        told["subject"] = reference("Patient", child)
    if random.random() < 0.6:
        told["encounter"] = reference("Encounter", random.choice(made.of("Encounter")))
    if seen and random.random() < 0.4:
        told["hasMember"] = [reference("Observation", random.choice(seen))]
    if random.random() < 0.5:
        told["performer"] = [reference("Practitioner", random.choice(SURGEONS))]
    made.put("Observation", key, **told)


def _open_case(made: World, random: Random, key: str, child: str) -> None:
    hospital = reference("Organization", random.choice(HOSPITALS))
    about = {"patient": reference("Patient", child), "managingOrganization": hospital}
    made.put("EpisodeOfCare", key, status=random.choice(("active", "finished")), **about)


def _plan(made: World, random: Random, key: str, child: str) -> None:
    plan = [f"{PLAN}/{random.choice(_CODES)}"]
    about = {"instantiatesCanonical": plan, "subject": reference("Patient", child)}
    made.put("CarePlan", key, status="active", intent="plan", **about)


def _sign(made: World, random: Random, key: str, _child: str) -> None:
    if seen := made.of("Observation"):
        some = random.sample(seen, min(len(seen), random.randint(1, 2)))
        agent = [{"who": reference("Practitioner", "s1")}]
        targets = [reference("Observation", each) for each in some]
        made.put("Provenance", key, recorded="2024-05-01T00:00:00Z", agent=agent, target=targets)


def _list(made: World, random: Random, key: str, child: str) -> None:
    items = [{"item": {"reference": random.choice(list(made.standing))}} for _ in range(3)]
    about = {"subject": reference("Patient", child), "entry": items}
    made.put("List", key, status="current", mode="working", **about)


def _answer(made: World, random: Random, key: str, child: str) -> None:
    """Let a family answer, or a value be taken from its answers."""
    told, answers = {"subject": reference("Patient", child)}, made.of("QuestionnaireResponse")
    if answers and random.random() < 0.5:
        source = [reference("QuestionnaireResponse", random.choice(answers))]
        made.put("Observation", key, status="final", code=coded("a"), derivedFrom=source, **told)
    else:
        made.put("QuestionnaireResponse", key, status="completed", source=told["subject"], **told)


def _change(made: World, random: Random, _key: str, child: str) -> None:
    """Write a visit, or an observation, anew: for another child, at another place, or not at all."""
    kind = random.choice(("Encounter", "Observation"))
    if not made.of(kind):
        return
    place = f"{kind}/{random.choice(made.of(kind))}"
    if random.random() < 0.3 and not any(place in _texts(e) for e in made.standing.values()):
        made.delete(place)
    elif kind == "Encounter":
        _visit(made, random, place.partition("/")[2], child)
    else:
        now = {**made.standing[place], "subject": reference("Patient", child)}
        made.put(now.pop("resourceType"), now.pop("id"), **now)


def _texts(resource: Resource) -> str:
    return encode(resource).decode()


_EVENTS = (
    *[_visit] * 3, *[_observe] * 3, _open_case, _plan, _sign, _list, *[_answer] * 2, _change, _change,
)  # fmt: skip


def seen(made: World, hospital: str) -> list[Resource]:
    """Return what a hospital sees, in the order in which it was last written."""
    persons = _persons(made)
    theirs = {
        each
        for child, organization in _visits(made)
        if organization in (hospital, f"{hospital}-ward")
        for each in persons[child]
    }
    told: dict[str, str | None] = {}
    return [
        resource
        for place, resource in made.standing.items()
        if (one := _whose(made, place, told)) is None
        or one in theirs
        or one == f"Organization/{hospital}"
    ]


def _visits(made: World) -> Iterator[tuple[str, str]]:
    for resource in made.standing.values():
        provider = resource.get("serviceProvider") or resource.get("managingOrganization")
        of = {"Encounter": "subject", "EpisodeOfCare": "patient"}.get(resource["resourceType"])
        if not provider or resource.get("status") == "entered-in-error":
            continue
        where = provider["reference"].partition("/")[2]
        if resource["resourceType"] == "Patient":
            yield f"Patient/{resource['id']}", where
        elif of:
            yield resource[of]["reference"], where


def _persons(made: World) -> dict[str, set[str]]:
    joined = {f"Patient/{key}": {f"Patient/{key}"} for key in made.of("Patient")}
    for key in made.of("Patient"):
        for link in made.standing[f"Patient/{key}"].get("link", ()):
            both = joined[f"Patient/{key}"] | joined[link["other"]["reference"]]
            for each in both:
                joined[each] = both
    return joined


def _whose(made: World, place: str, told: dict[str, str | None]) -> str | None:
    """Return the Patient or Organization whose a resource is, None: everybody's, "": the registry's."""
    if place not in told:
        told[place] = ""  # whoever asks in a circle is told so
        told[place] = _told(made, place, told)
    return told[place]


def _told(made: World, place: str, told: dict[str, str | None]) -> str | None:
    resource = made.standing[place]
    kind = resource["resourceType"]
    if kind in _PUBLIC:
        return None
    if kind == "MeasureReport":
        return str(resource["subject"]["reference"]) if "subject" in resource else None
    if kind == "Patient":
        return place
    if kind in ("Group", "QuestionnaireResponse"):
        return ""
    texts = list(dict.fromkeys(_references(resource)))
    patients = [each for each in texts if each.startswith("Patient/")]
    if len(patients) > 1 or any(each.startswith("QuestionnaireResponse/") for each in texts):
        return ""
    if patients:
        return patients[0]
    others = {_whose(made, e, told) for e in texts if e.partition("/")[0] not in _PUBLIC}
    one = others.pop() if len(others) == 1 else ""
    return "" if one is None and kind != "Provenance" else one


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "reference" in node:
            yield node["reference"]
        for each in node.values():
            yield from _references(each)
    elif isinstance(node, list):
        for each in node:
            yield from _references(each)
