"""Sign a response: one transaction with the answers, what they yield, a document and a Provenance.

https://hl7.org/fhir/R4/documents.html and https://hl7.org/fhir/R4/provenance.html
"""

from collections.abc import Callable
from typing import NamedTuple

from questionnaires.attestation import AUTHENTICATED, Act, create, sections
from questionnaires.carried import carried
from questionnaires.elements import require_form
from questionnaires.entries import Entry
from questionnaires.extraction import Extracted, extracted
from questionnaires.numbered import numbered
from questionnaires.prose import narrative
from questionnaires.seal import Seal
from r4 import reference
from r4.issue import FhirError, error
from r4.json import Resource
from terminology.systems import CSOR

EFFORT = f"{CSOR}/StructureDefinition/note-effort"
_OPEN = ("in-progress", "completed")


class Effort(NamedTuple):
    """When a draft was opened (an instant), and how many seconds later it was signed."""

    opened: str
    seconds: int


def sign(  # noqa: PLR0913 - each is a fact of the signature
    questionnaire: Resource,
    response: Resource,
    *,
    signer: Resource,
    hospital: Resource,
    now: str,
    new_id: Callable[[], str],
    seal: Seal | None = None,
    version: str | None = None,
    effort: Effort | None = None,
) -> Resource:
    """Return the transaction Bundle that stores a signed response and everything made of it.

    In this order: the completed QuestionnaireResponse (author: the signer), the resources extracted
    from it, the Composition that the signer attests, the document Bundle, the Provenance of all.

    signer and hospital are References (type, identifier and display make the document more
    readable); now is an instant; new_id gives a fresh UUID at each call; seal signs the document.
    version is that of a stored draft: its next version is the signed one, if that is still its
    newest (ifMatch). Without one the response is created, under its own id if it has one. effort
    is noted with the response.

    What the transaction must do: replace a `reference` that is an entry's fullUrl by `Type/id`,
    and resolve conditional references. The document needs neither: it has urns of its own, and
    holds what it refers to (`questionnaires.document`), so it stays word for word what was signed.

    The caller has checked the response strictly (`check`). Raises FhirError (422) for another
    form's response, a status that cannot be signed, no subject, answers carried over from another
    note that nobody has confirmed, or a failed extraction. An amended note is refused: that is
    `correct`'s.
    """
    refuse_carried(response)
    signed = _completed(questionnaire, _signable(questionnaire, response), now)
    signed = _with_effort({**signed, "author": signer}, effort, now)
    stored = _stored(signed, new_id, version)
    found = keyed(questionnaire, stored, new_id)
    entries = [stored, *(numbered(each, id_of(stored)) for each in found)]
    act = Act(signer, hospital, now, new_id, seal)
    made = sections(questionnaire, signed, entries)
    entries = act.attested(entries, act.composition(questionnaire, signed, made))
    entries.append(create(act.provenance(entries, AUTHENTICATED), new_id))
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def submit(
    questionnaire: Resource,
    response: Resource,
    *,
    now: str,
    new_id: Callable[[], str],
    version: str | None = None,
) -> Resource:
    """Return the transaction Bundle that stores a response that its author sent in, unsigned.

    The completed QuestionnaireResponse, the resources extracted from it, and their Provenance: what
    a parent's survey needs. version is that of a response that is stored, as `sign` takes it.
    Raises FhirError (422) as `sign` does, and where no author is named.
    """
    sent = _signable(questionnaire, response)
    if version is None:
        sent.pop("id", None)
    if "author" not in sent:
        raise refusal("required", "The response does not say who wrote it", "author")
    stored = _stored(_completed(questionnaire, sent, now), new_id, version)
    entries = [stored, *(each.entry for each in keyed(questionnaire, stored, new_id))]
    act = Act(sent["author"], None, now, new_id)
    entries.append(create(act.provenance(entries, None), new_id))
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def id_of(stored: Entry) -> str:
    """Return the id that a response has, or that its urn lends it."""
    return str(stored["resource"].get("id") or stored["fullUrl"].removeprefix("urn:uuid:"))


def keyed(questionnaire: Resource, stored: Entry, new_id: Callable[[], str]) -> list[Extracted]:
    """Return what is extracted from the response of an entry, to which it refers by its fullUrl."""
    # Templates refer to the response by an id; one that is new has none yet, and lends its urn's.
    response = _without_name(stored["resource"])
    id = id_of(stored)
    named = {f"QuestionnaireResponse/{id}": stored["fullUrl"]}
    found = []
    for key, each in extracted(questionnaire, {**response, "id": id}, new_id=new_id):
        resource = reference.rewrite(each["resource"], lambda at: named.get(at, at))
        found.append(Extracted(key, {**each, "resource": resource}))
    return found


def refusal(code: str, text: str, element: str, rule: str = "signing") -> FhirError:
    """Return the refusal of a response because of one of its elements."""
    return FhirError(422, [error(code, text, f"QuestionnaireResponse.{element}", rule)])


def _signable(questionnaire: Resource, response: Resource) -> Resource:
    require_form(response, questionnaire)
    if response.get("status") not in _OPEN:
        text = f"A response with status {response.get('status')!r} cannot be completed"
        raise refusal("business-rule", text, "status")
    if "subject" not in response:
        raise refusal("required", "The response does not say whom it is about", "subject")
    meta = response.get("meta", {})
    kept = {key: value for key, value in meta.items() if key not in ("versionId", "lastUpdated")}
    rest = {key: value for key, value in response.items() if key != "meta"}
    return {**rest, "meta": kept} if kept else rest


def refuse_carried(response: Resource) -> None:
    """Raise FhirError (422) where an answer comes from another note, and nobody has confirmed it."""
    if names := [each.link_id for each in carried(response)]:
        text = f"Confirm, or change, what was carried over from another note: {', '.join(names)}"
        raise refusal("business-rule", text, "extension", "carried-over")


def _completed(questionnaire: Resource, response: Resource, now: str) -> Resource:
    return {
        **response,
        "status": "completed",
        "authored": response.get("authored", now),
        "text": {"status": "generated", "div": narrative(questionnaire, response)},
    }


def _with_effort(response: Resource, effort: Effort | None, now: str) -> Resource:
    others = [each for each in response.get("extension", ()) if each.get("url") != EFFORT]
    if effort is not None:
        parts = [
            {"url": "opened", "valueInstant": effort.opened},
            {"url": "signed", "valueInstant": now},
            {"url": "seconds", "valueInteger": effort.seconds},
        ]
        others.append({"url": EFFORT, "extension": parts})
    rest = {key: value for key, value in response.items() if key != "extension"}
    return {**rest, "extension": others} if others else rest


def _stored(response: Resource, new_id: Callable[[], str], version: str | None) -> Entry:
    entry = create(response, new_id)
    if version is None:
        return entry
    url = f"QuestionnaireResponse/{response['id']}"
    return {**entry, "request": {"method": "PUT", "url": url, "ifMatch": f'W/"{version}"'}}


def _without_name(response: Resource) -> Resource:
    """Leave the child's name to the note: what is extracted refers to the child, and says no more."""
    subject = {key: value for key, value in response["subject"].items() if key != "display"}
    return {**response, "subject": subject}
