"""Sign a response: one transaction with the answers, what they yield, a document and a Provenance.

https://hl7.org/fhir/R4/documents.html and https://hl7.org/fhir/R4/provenance.html
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from questionnaires.document import document
from questionnaires.elements import Item, has_content, pairs, require_form
from questionnaires.entries import Entry
from questionnaires.extraction import extract
from questionnaires.prose import narrative, section
from questionnaires.seal import Seal, sealed
from r4 import reference
from r4.issue import FhirError, error
from r4.json import Resource

_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
_OPEN = ("in-progress", "completed")


def sign(  # noqa: PLR0913 - each is a fact of the signature
    questionnaire: Resource,
    response: Resource,
    *,
    signer: Resource,
    hospital: Resource,
    now: str,
    new_id: Callable[[], str],
    seal: Seal | None = None,
) -> Resource:
    """Return the transaction Bundle that stores a signed response and everything made of it.

    In this order: the completed QuestionnaireResponse (author: the signer), the resources extracted
    from it, the Composition that the signer attests, the document Bundle, the Provenance of all.

    signer and hospital are References (type, identifier and display make the document more
    readable); now is an instant; new_id gives a fresh UUID at each call; seal signs the document.

    What the transaction must do: replace a `reference` that is an entry's fullUrl by `Type/id`,
    and resolve conditional references. The document needs neither: it has urns of its own, and
    holds what it refers to (`questionnaires.document`), so it stays word for word what was signed.

    The caller has checked the response strictly (`check`). Raises FhirError (422) for another
    form's response, a status that cannot be signed, no subject, or a failed extraction. An amended
    note is refused: its extraction would double what the first signature stored.
    """
    signed = _signable(questionnaire, response) | {
        "status": "completed",
        "author": signer,
        "authored": response.get("authored", now),
        "text": {"status": "generated", "div": narrative(questionnaire, response)},
    }
    entries = _with_extracted(questionnaire, signed, new_id)
    act = _Act(signer, hospital, now)
    composition = act.composition(questionnaire, signed, entries)
    entries.append(_create(composition, new_id))
    entries.append(_create(_sealed(document(entries, now, new_id), seal), new_id))
    entries.append(_create(act.provenance(entries, "LA"), new_id))
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def submit(
    questionnaire: Resource, response: Resource, *, now: str, new_id: Callable[[], str]
) -> Resource:
    """Return the transaction Bundle that stores a response that its author sent in, unsigned.

    The completed QuestionnaireResponse, the resources extracted from it, and their Provenance: what
    a parent's survey needs. Raises FhirError (422) as `sign` does, and where no author is named.
    """
    sent = _signable(questionnaire, response)
    if "author" not in sent:
        raise _refusal("required", "The response does not say who wrote it", "author")
    sent |= {
        "status": "completed",
        "authored": response.get("authored", now),
        "text": {"status": "generated", "div": narrative(questionnaire, response)},
    }
    entries = _with_extracted(questionnaire, sent, new_id)
    entries.append(_create(_Act(sent["author"], None, now).provenance(entries, None), new_id))
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def _signable(questionnaire: Resource, response: Resource) -> Resource:
    require_form(response, questionnaire)
    if response.get("status") not in _OPEN:
        text = f"A response with status {response.get('status')!r} cannot be completed"
        raise _refusal("business-rule", text, "status")
    if "subject" not in response:
        raise _refusal("required", "The response does not say whom it is about", "subject")
    return {key: value for key, value in response.items() if key not in ("id", "meta")}


def _refusal(code: str, text: str, element: str) -> FhirError:
    return FhirError(422, [error(code, text, f"QuestionnaireResponse.{element}", "signing")])


def _create(resource: Resource, new_id: Callable[[], str]) -> Entry:
    asked = {"method": "POST", "url": resource["resourceType"]}
    return {"fullUrl": f"urn:uuid:{new_id()}", "resource": resource, "request": asked}


def _sealed(made: Resource, seal: Seal | None) -> Resource:
    """Return a document with the signature of its attester, who is one of its own resources."""
    if seal is None:
        return made
    [attester] = made["entry"][0]["resource"]["attester"]
    return sealed(made, seal, attester["party"], attester["time"])


def _with_extracted(
    questionnaire: Resource, response: Resource, new_id: Callable[[], str]
) -> list[Entry]:
    # The response has no id yet, and templates refer to it by one: it lends its urn's.
    stored = _create(response, new_id)
    id = stored["fullUrl"].removeprefix("urn:uuid:")
    extracted = extract(questionnaire, {**response, "id": id}, new_id=new_id).get("entry", [])
    named = {f"QuestionnaireResponse/{id}": stored["fullUrl"]}
    rewritten = [
        {**each, "resource": reference.rewrite(each["resource"], lambda at: named.get(at, at))}
        for each in extracted
    ]
    return [stored, *rewritten]


@dataclass(frozen=True, slots=True)
class _Act:
    signer: Resource
    hospital: Resource | None
    now: str

    def composition(
        self, questionnaire: Resource, response: Resource, entries: list[Entry]
    ) -> Resource:
        """Return the attested Composition: a section for each group, one that lists the records."""
        found = pairs(questionnaire.get("item", []), response.get("item", []))
        sections = [_section(*pair) for pair in found if has_content(pair[1])]
        records = [{"reference": each["fullUrl"]} for each in entries]
        made: Resource = {
            "resourceType": "Composition",
            "status": "final",
            "type": {
                "coding": questionnaire.get("code", []),
                "text": questionnaire.get("title", "Form"),
            },
            "subject": response["subject"],
            "encounter": response.get("encounter"),
            "date": self.now,
            "author": [self.signer],
            "title": questionnaire.get("title", "Form"),
            "attester": [{"mode": "legal", "time": self.now, "party": self.signer}],
            "custodian": self.hospital,
            "section": [*sections, {"title": "Records made of this note", "entry": records}],
        }
        return {key: value for key, value in made.items() if value is not None}

    def provenance(self, entries: list[Entry], activity: str | None) -> Resource:
        """Return the Provenance of all entries, the first of which holds the answers."""
        system = f"{_TERMINOLOGY}/v3-DocumentCompletion"
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
            made["activity"] = {"coding": [{"system": system, "code": activity}]}
        source = {"role": "source", "what": {"reference": entries[0]["fullUrl"]}}
        return {**made, "agent": [agent], "entity": [source]}


def _section(definition: Item, item: Item) -> dict[str, Any]:
    made: dict[str, Any] = {"title": definition.get("text", definition["linkId"])}
    if "code" in definition:
        made["code"] = {"coding": definition["code"]}
    return {**made, "text": {"status": "generated", "div": section(definition, item)}}
