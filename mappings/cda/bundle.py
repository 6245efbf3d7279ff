"""An operative note as one transaction Bundle: the original first, then what it says.

Procedures come from the header, one for each serviceEvent; sections become the Composition's. What
the note owns is found again by identifiers made of the note's own number, so that a version that
replaces it updates it. https://hl7.org/fhir/R4/http.html#transaction
"""

import base64
import hashlib
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from mappings.cda.datatypes import (
    concept,
    display,
    first,
    identifier,
    moment,
    name,
    path,
    period,
    text,
)
from mappings.cda.document import DEEPEST, Note, refusal, sections, title
from mappings.cda.entries import coded
from mappings.cda.narrative import xhtml
from mappings.cda.tables import kind
from mappings.hl7v2 import timestamps
from mappings.hl7v2.functions.identity import search
from mappings.hl7v2.tables import local_system
from r4.json import Resource
from terminology import systems

MEDIA_TYPE = "application/cda+xml"
_GENDERS = {"F": "female", "M": "male", "UN": "other"}
_CLASSES = "2.16.840.1.113883.5.4"
_LOINC_NOTE = {"coding": [{"system": systems.LOINC, "code": "11504-8"}]}
_AUTHOR = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"


def to_bundle(note: Note, now: str, number: Resource | None = None) -> Resource:
    """Return the Bundle of a note.

    now: instant of receipt. number: identifier that the note has had since its first version, where
    this one replaces another. Raises FhirError 422 for what the note lacks.
    """
    return _Building(note, number or note.identifier).bundle(now)


class _Building:
    def __init__(self, note: Note, number: Resource) -> None:
        self.note, self.number = note, number
        self.root = note.root
        self.entries: dict[str, Resource] = {}
        sender = {"system": systems.ODS_ORGANIZATION, "value": note.hospital}
        self.hospital = {"reference": f"Organization?{search(sender)}"}
        self.document = self.urn("DocumentReference")
        self.composition = self.urn("Composition")

    def bundle(self, now: str) -> Resource:
        self.entries[self.document] = {}  # its place is the first
        self.child = self._patient()
        self.encounter = self._encounter()
        self.authors = [self._party(each) for each in path(self.root, "author", "assignedAuthor")]
        self.authors = [each for each in self.authors if each] or [self.hospital]
        procedures = self._procedures()
        listed = [self._section(each, 1) for each in sections(self._body())]
        self._put("Composition", self.number, self._composition(procedures, listed))
        self._document()
        self._provenance(now)
        return {
            "resourceType": "Bundle",
            "type": "transaction",
            "entry": list(self.entries.values()),
        }

    def urn(self, what: str) -> str:
        own = self.note.identifier
        place = "|".join((own["system"], own["value"], what))
        return f"urn:uuid:{uuid5(NAMESPACE_URL, place)}"

    def _body(self) -> Any:
        return first(self.root, "component", "structuredBody")

    def _add(self, what: str, resource: Resource, request: Resource) -> Resource:
        full = self.urn(what)
        self.entries.setdefault(full, {})
        if not self.entries[full]:
            self.entries[full] = {"fullUrl": full, "resource": resource, "request": request}
        return {"reference": full}

    def _create(self, resource: Resource, *numbers: Resource) -> Resource:
        """Add what the note does not own: it is created where it is not there yet, else left as it is."""
        criteria, url = search(*numbers), resource["resourceType"]
        request = {"method": "POST", "url": url, "ifNoneExist": criteria}
        return self._add(f"{url}?{criteria}", resource, request)

    def _put(self, what: str, number: Resource, resource: Resource) -> Resource:
        url = f"{resource['resourceType']}?{search(number)}"
        return self._add(what, resource, {"method": "PUT", "url": url})

    def _owned(self, kind: str, value: str, resource: Resource) -> Resource:
        """Add what the note says, under a number made of the note's own."""
        number = {
            "system": local_system(self.note.hospital, kind),
            "value": f"{self._told()}.{value}",
        }
        while self.urn(number["value"] + kind) in self.entries:
            number["value"] += ".again"
        owned = {"identifier": [number], **resource, "subject": self.child}
        if self.encounter:
            owned["encounter"] = self.encounter
        ordered = {"resourceType": owned.pop("resourceType"), **owned}
        return self._put(number["value"] + kind, number, ordered)

    def _told(self) -> str:
        """Return the note's number on one line, with its system: two of a hospital's may count alike."""
        place = self.number["system"]
        return ":".join([*([place] if place.startswith("urn:oid") else []), self.number["value"]])

    def _patient(self) -> Resource:
        role = first(self.root, "recordTarget", "patientRole")
        person = first(role, "patient")
        child: Resource = {"resourceType": "Patient", "identifier": list(self.note.children)}
        child["active"] = True
        if person is not None:
            if said := name(first(person, "name")):
                child["name"] = [said]
            gender = first(person, "administrativeGenderCode")
            if gender is not None and gender.get("code") in _GENDERS:
                child["gender"] = _GENDERS[gender.get("code")]
            birth = first(person, "birthTime")
            if birth is not None and (day := timestamps.date(birth.get("value", ""))):
                child["birthDate"] = day
        child["managingOrganization"] = self.hospital
        return self._create(child, *self.note.children)

    def _encounter(self) -> Resource | None:
        """Return the stay; None where its number or its class is not said."""
        stay = first(self.root, "componentOf", "encompassingEncounter")
        if stay is None:
            return None
        number, code = first(stay, "id"), first(stay, "code")
        value = "" if number is None else " ".join(number.get("extension", "").split())
        if not value or code is None or code.get("codeSystem") != _CLASSES:
            return None
        when = period(first(stay, "effectiveTime"))
        known = {"system": local_system(self.note.hospital, "visit"), "value": value}
        visit = {
            "resourceType": "Encounter",
            "identifier": [known],
            "status": "finished" if "end" in when else "in-progress",
            "class": {
                "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode",
                "code": code.get("code", "").strip() or "IMP",
            },
            "subject": self.child,
            **({"period": when} if when else {}),
            "serviceProvider": self.hospital,
        }
        return self._create(visit, known)

    def _party(self, entity: Any) -> Resource | None:
        """Return who an assigned entity is: by GMC number, else by name alone; None for nobody."""
        person = first(entity, "assignedPerson")
        called = None if person is None else name(first(person, "name"))
        shown = {"display": words} if (words := display(called)) else {}
        for ii in path(entity, "id"):
            number = identifier(ii)
            if (
                number
                and kind(ii.get("root", "")) == "gmc"
                and number["system"] == systems.GMC_NUMBER
            ):
                doctor = {"resourceType": "Practitioner", "identifier": [number]}
                named = {"name": [called]} if called else {}
                return {**self._create({**doctor, **named}, number), **shown}
        return shown or None

    def _procedures(self) -> list[Resource]:
        events = path(self.root, "documentationOf", "serviceEvent")
        found = []
        for event in events:
            code = concept(first(event, "code"))
            if code is None:
                continue
            when = period(first(event, "effectiveTime")) or {"start": self.note.date}
            done = (
                {"performedPeriod": when} if "end" in when else {"performedDateTime": when["start"]}
            )
            actors = [self._performer(each) for each in path(event, "performer")]
            performers = [each for each in actors if each]
            procedure: Resource = {"resourceType": "Procedure", "status": "completed", "code": code}
            procedure |= done
            if performers:
                procedure["performer"] = performers
            what = code["coding"][0]["code"] if "coding" in code else code["text"]
            day = next(iter(when.values()))[:10]
            found.append(self._owned("procedure", f"{what}.{day}", procedure))
        if not found:
            text = "No serviceEvent says by code or words which procedure was done."
            raise refusal("required", text, "documentationOf.serviceEvent")
        return found

    def _performer(self, performer: Any) -> Resource | None:
        entity = first(performer, "assignedEntity")
        actor = None if entity is None else self._party(entity)
        if actor is None:
            return None
        function = concept(first(performer, "functionCode"))
        return {**({"function": function} if function else {}), "actor": actor}

    def _section(self, section: Any, depth: int) -> Resource | None:
        if depth > DEEPEST:
            raise refusal("too-long", f"Sections stand more than {DEEPEST} deep.", "component")
        found: Resource = {}
        if words := text(first(section, "title")):
            found["title"] = words
        if code := concept(first(section, "code")):
            found["code"] = code
        body = first(section, "text")
        if body is not None and (div := xhtml(body)):
            found["text"] = {"status": "additional", "div": div}
        inner = [self._section(each, depth + 1) for each in sections(section)]
        if said := [self._entry(section, each) for each in coded(section, self.note.date)]:
            found["entry"] = said
        if kept := [each for each in inner if each]:
            found["section"] = kept
        return found if {"text", "entry", "section"} & found.keys() else None

    def _entry(self, section: Any, resource: Resource) -> Resource:
        kind = "diagnosis" if resource["resourceType"] == "Condition" else "observation"
        place, code = first(section, "code").get("code"), resource["code"]["coding"][0]["code"]
        return self._owned(kind, f"{place}.{code}", resource)

    def _composition(self, procedures: list[Resource], listed: list[Resource | None]) -> Resource:
        attesters = list(self._attesters())
        kept = [each for each in listed if each]
        if not kept:
            raise refusal("required", "No section of the document says anything.", "component")
        found: Resource = {
            "resourceType": "Composition",
            "identifier": self.number,
            "status": "final" if attesters else "preliminary",
            "type": {**_LOINC_NOTE, "text": title(self.root)},
            "subject": self.child,
            **({"encounter": self.encounter} if self.encounter else {}),
            "date": self.note.date,
            "author": self.authors,
            "title": title(self.root),
            **({"attester": attesters} if attesters else {}),
            "custodian": self.hospital,
        }
        if self.note.replaces is not None:
            found["status"] = "amended"
            target = {"targetIdentifier": self.note.replaces}
            found["relatesTo"] = [{"code": "replaces", **target}]
        return {**found, "event": [{"detail": procedures}], "section": kept}

    def _attesters(self) -> list[Resource]:
        signed = first(self.root, "legalAuthenticator")
        if signed is None:
            return []
        entity, when = first(signed, "assignedEntity"), moment(first(signed, "time"))
        party = None if entity is None else self._party(entity)
        found: Resource = {"mode": "legal"}
        if when:
            found["time"] = when
        return [{**found, "party": party}] if party else []

    def _document(self) -> None:
        note, raw = self.note, self.note.raw
        attachment = {
            "contentType": MEDIA_TYPE,
            "data": base64.b64encode(raw).decode(),
            "size": len(raw),
            "hash": base64.b64encode(hashlib.sha1(raw, usedforsecurity=False).digest()).decode(),
            "title": title(self.root),
            "creation": note.date,
        }
        context: Resource = {"encounter": [self.encounter]} if self.encounter else {}
        found: Resource = {
            "resourceType": "DocumentReference",
            "masterIdentifier": note.identifier,
            **({"identifier": [note.series]} if note.series else {}),
            "status": "current",
            "type": _LOINC_NOTE,
            "subject": self.child,
            "date": note.date,
            "author": self.authors,
            "custodian": self.hospital,
            "content": [{"attachment": attachment}],
            "context": {**context, "related": [{"reference": self.composition}]},
        }
        criteria = search(note.identifier)
        request = {"method": "POST", "url": "DocumentReference", "ifNoneExist": criteria}
        self._add("DocumentReference", found, request)

    def _provenance(self, now: str) -> None:
        author = {"coding": [{"system": _AUTHOR, "code": "author"}]}
        found = {
            "resourceType": "Provenance",
            "target": [{"reference": full} for full in self.entries],
            "recorded": now,
            "agent": [{"type": author, "who": self.hospital}],
            "entity": [{"role": "source", "what": {"reference": self.document}}],
        }
        self._add("Provenance", found, {"method": "POST", "url": "Provenance"})
