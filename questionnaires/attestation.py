"""What an attestation is made of: the Composition, its sealed document, and the Provenance of all.

https://hl7.org/fhir/R4/documents.html and https://hl7.org/fhir/R4/provenance.html
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from questionnaires.document import document
from questionnaires.elements import Item, has_content, pairs
from questionnaires.entries import Entry
from questionnaires.prose import section
from questionnaires.seal import Seal, sealed
from r4.json import Resource

_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
AUTHENTICATED = {"system": f"{_TERMINOLOGY}/v3-DocumentCompletion", "code": "LA"}
UPDATED = {"system": f"{_TERMINOLOGY}/v3-DataOperation", "code": "UPDATE"}


def create(resource: Resource, new_id: Callable[[], str]) -> Entry:
    """Return the entry that creates a resource, under a urn of its own."""
    asked = {"method": "POST", "url": resource["resourceType"]}
    return {"fullUrl": f"urn:uuid:{new_id()}", "resource": resource, "request": asked}


@dataclass(frozen=True, slots=True)
class Act:
    """Who writes, for which hospital, and when (an instant); seal signs the document."""

    signer: Resource
    hospital: Resource | None
    now: str
    new_id: Callable[[], str]
    seal: Seal | None = None

    def attested(self, entries: list[Entry], composition: Resource) -> list[Entry]:
        """Return the entries with those of a Composition and of the document of them all."""
        entries = [*entries, create(composition, self.new_id)]
        made = document(entries, self.now, self.new_id)
        if self.seal is not None:  # the attester is one of the document's own resources
            [attester] = made["entry"][0]["resource"]["attester"]
            made = sealed(made, self.seal, attester["party"], attester["time"])
        return [*entries, create(made, self.new_id)]

    def composition(
        self, questionnaire: Resource, response: Resource, sections: list[Resource]
    ) -> Resource:
        """Return the Composition of sections about a response's subject, attested by the signer."""
        title = questionnaire.get("title", "Form")
        made: Resource = {
            "resourceType": "Composition",
            "status": "final",
            "type": {"coding": questionnaire.get("code", []), "text": title},
            "subject": response["subject"],
            "encounter": response.get("encounter"),
            "date": self.now,
            "author": [self.signer],
            "title": title,
            "attester": [{"mode": "legal", "time": self.now, "party": self.signer}],
            "custodian": self.hospital,
            "section": sections,
        }
        return {key: value for key, value in made.items() if value is not None}

    def provenance(self, entries: list[Entry], activity: Resource | None, **more: Any) -> Resource:
        """Return the Provenance of all entries, whose source is the first unless more says otherwise."""
        author = {"system": f"{_TERMINOLOGY}/provenance-participant-type", "code": "author"}
        agent: dict[str, Any] = {"type": {"coding": [author]}, "who": self.signer}
        if self.hospital is not None:
            agent["onBehalfOf"] = self.hospital
        made: Resource = {
            "resourceType": "Provenance",
            "target": [{"reference": each["fullUrl"]} for each in entries],
            "recorded": self.now,
        }
        if activity is not None:
            made["activity"] = {"coding": [activity]}
        source = {"role": "source", "what": {"reference": entries[0]["fullUrl"]}}
        return {**made, "agent": [agent], "entity": [source], **more}


def sections(questionnaire: Resource, response: Resource, entries: list[Entry]) -> list[Resource]:
    """Return a section for each group of a form that has answers, and one that lists the records."""
    return [
        *_of_groups(questionnaire, response),
        {
            "title": "Records made of this note",
            "entry": [{"reference": each["fullUrl"]} for each in entries],
        },
    ]


def _of_groups(questionnaire: Resource, response: Resource) -> Iterator[Resource]:
    for definition, item in pairs(questionnaire.get("item", []), response.get("item", [])):
        if has_content(item):
            yield _section(definition, item)


def _section(definition: Item, item: Item) -> dict[str, Any]:
    made: dict[str, Any] = {"title": definition.get("text", definition["linkId"])}
    if "code" in definition:
        made["code"] = {"coding": definition["code"]}
    return {**made, "text": {"status": "generated", "div": section(definition, item)}}
