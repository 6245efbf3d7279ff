"""Correct a signed note, or add to it: what was signed stays, what stands is said beside it.

https://hl7.org/fhir/R4/composition.html (relatesTo) and https://hl7.org/fhir/R4/provenance.html
"""

from collections.abc import Callable
from html import escape
from uuid import NAMESPACE_URL, uuid5

from profiles.primitives import LONGEST_STRING
from questionnaires.attestation import AUTHENTICATED, UPDATED, Act, create, sections
from questionnaires.bounds import unwritable
from questionnaires.elements import require_form
from questionnaires.entries import Entry
from questionnaires.extraction import Extracted
from questionnaires.numbered import criteria, numbered
from questionnaires.prose import narrative
from questionnaires.seal import Seal
from questionnaires.signing import id_of, keyed, refusal, refuse_carried
from r4 import reference
from r4.json import Resource

_SIGNED = ("completed", "amended")
_IN_ERROR = "entered-in-error"
_VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
_URI = "urn:ietf:rfc:3986"


def addendum(  # noqa: PLR0913 - each is a fact of the addendum
    questionnaire: Resource,
    response: Resource,
    composition: Resource,
    text: str,
    *,
    signer: Resource,
    now: str,
    new_id: Callable[[], str],
    seal: Seal | None = None,
) -> Resource:
    """Return the transaction Bundle that adds words to a signed note, which itself stays as it is.

    In this order: a Composition that appends to the note's, the sealed document, the Provenance.
    composition is the stored one that stands; the hospital is its custodian. The same words by the
    same signer on the same day are one addendum (ifNoneExist), however often they are sent.
    Raises FhirError (422) where the note is not signed, or the text is blank, longer than a
    narrative, or has a character that a document cannot hold.
    """
    _require_signed(questionnaire, response)
    _require_words(text)
    act = Act(signer, composition.get("custodian"), now, new_id, seal)
    said = {"status": "generated", "div": _paragraphs(text)}
    name = "|".join((composition["id"], signer.get("reference", ""), now[:10], text))
    number = f"urn:uuid:{uuid5(NAMESPACE_URL, name)}"
    made = {
        **act.composition(questionnaire, response, [{"title": "Addendum", "text": said}]),
        "identifier": {"system": _URI, "value": number},
        "relatesTo": [_relates("appends", composition)],
    }
    entries = act.attested([], made)
    entries[0]["request"]["ifNoneExist"] = f"identifier={_URI}|{number}"
    source = [{"role": "source", "what": {"reference": f"Composition/{composition['id']}"}}]
    entries.append(create(act.provenance(entries, AUTHENTICATED, entity=source), new_id))
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def _require_words(text: str) -> None:
    if not text.strip():
        raise refusal("required", "An addendum says something.", "text")
    if len(_paragraphs(text)) > LONGEST_STRING:
        said = f"A narrative has at most {LONGEST_STRING} characters: send several addenda."
        raise refusal("too-long", said, "text")
    if (found := unwritable(text)) is not None:
        said = f"The character {found} cannot be written in a document: take it out of the words."
        raise refusal("value", said, "text")


def correct(  # noqa: PLR0913 - each is a fact of the correction
    questionnaire: Resource,
    earlier: Resource,
    corrected: Resource,
    composition: Resource,
    *,
    reason: str,
    signer: Resource,
    hospital: Resource,
    now: str,
    new_id: Callable[[], str],
    seal: Seal | None = None,
) -> Resource:
    """Return the transaction Bundle that corrects a signed note: earlier, as it is stored.

    In this order: the response, now amended; what is extracted from it, each in the place of what
    the earlier version yielded under the same key; what it yields no longer, entered in error; a
    Composition that replaces the one that stood; the sealed document; the Provenance, with the
    reason and the earlier version. What is shared with other notes (the case, and all that is
    stored by ifNoneExist) is created where it is not there, and never changed.

    The caller has checked the corrected response strictly. Raises FhirError (422) where the note is
    not signed, the correction is about another child or form, answers are carried over from another
    note and not confirmed, or nobody says why.
    """
    _require_signed(questionnaire, earlier)
    _require_same(questionnaire, earlier, corrected)
    if not reason.strip():
        raise refusal("required", "Say why the note is corrected.", "reason")
    amended = _amended(questionnaire, earlier, corrected, signer)
    stored = create(amended, new_id)
    version = earlier["meta"]["versionId"]
    place = f"QuestionnaireResponse/{earlier['id']}"
    stored["request"] = {"method": "PUT", "url": place, "ifMatch": f'W/"{version}"'}
    now_said = _numbered(questionnaire, stored, new_id)
    said = _numbered(questionnaire, {**stored, "resource": earlier}, new_id)
    withdrawn = _withdrawn(now_said, said)
    entries = [stored, *(_in_place(each.entry) for each in now_said), *map(_in_place, withdrawn)]
    standing = [stored, *(each.entry for each in now_said)]
    act = Act(signer, hospital, now, new_id, seal)
    made = act.composition(questionnaire, amended, sections(questionnaire, amended, standing))
    made["relatesTo"] = [_relates("replaces", composition)]
    attested = act.attested(standing, made)
    entries += attested[len(standing) :]
    before = [{"role": "revision", "what": {"reference": f"{place}/_history/{version}"}}]
    why = [{"text": reason}]
    provenance = act.provenance(entries, UPDATED, entity=before, reason=why)
    entries.append(create(provenance, new_id))
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def _require_signed(questionnaire: Resource, response: Resource) -> None:
    require_form(response, questionnaire)
    if response.get("status") not in _SIGNED:
        text = (
            f"A note with status {response.get('status')!r} is not signed: change it, and sign it."
        )
        raise refusal("business-rule", text, "status")


def _require_same(questionnaire: Resource, earlier: Resource, corrected: Resource) -> None:
    require_form(corrected, questionnaire)
    subjects = [each.get("subject", {}).get("reference") for each in (earlier, corrected)]
    if subjects[0] != subjects[1]:
        text = "The correction is about another child than the note."
        raise refusal("business-rule", text, "subject")
    refuse_carried(corrected)


def _amended(
    questionnaire: Resource, earlier: Resource, corrected: Resource, signer: Resource
) -> Resource:
    """Return the note as it is corrected: the answers are new, what tells which note it is stays."""
    kept = {key: value for key, value in earlier.items() if key not in ("meta", "item", "text")}
    authored = corrected.get("authored", earlier.get("authored"))
    said = {
        "status": "amended",
        "author": signer,
        "text": {"status": "generated", "div": narrative(questionnaire, corrected)},
        "item": corrected.get("item", []),
    }
    return {**kept, **({"authored": authored} if authored else {}), **said}


def _numbered(questionnaire: Resource, stored: Entry, new_id: Callable[[], str]) -> list[Extracted]:
    found = keyed(questionnaire, stored, new_id)
    return [Extracted(each.key, numbered(each, id_of(stored))) for each in found]


def _in_place(entry: Entry) -> Entry:
    """Return an entry that puts its resource in the place of what has its number."""
    url = criteria(entry["resource"])
    if url is None or "ifNoneExist" in entry["request"]:
        return entry
    return {**entry, "request": {"method": "PUT", "url": url}}


def _withdrawn(now_said: list[Extracted], said: list[Extracted]) -> list[Entry]:
    """Return, entered in error, what an earlier version of a note yielded and this one does not."""
    urls = {each.key: each.entry["fullUrl"] for each in now_said}
    places = {each.entry["fullUrl"]: urls.get(each.key) for each in said}

    def placed(text: str) -> str:
        return places.get(text) or text

    gone = [each.entry for each in said if each.key not in urls]
    gone = [each for each in gone if "ifNoneExist" not in each["request"]]
    return [
        {**each, "resource": _in_error(reference.rewrite(each["resource"], placed))}
        for each in gone
    ]


def _in_error(resource: Resource) -> Resource:
    if resource["resourceType"] == "Condition":
        status = {"coding": [{"system": _VERIFICATION, "code": _IN_ERROR}]}
        rest = {key: value for key, value in resource.items() if key != "clinicalStatus"}
        return {**rest, "verificationStatus": status}
    if criteria(resource) is None or "status" not in resource:
        text = (
            f"The correction would leave a {resource['resourceType']} that nothing says any longer"
        )
        raise refusal("not-supported", text, "item")
    return {**resource, "status": _IN_ERROR}


def _paragraphs(text: str) -> str:
    lines = "".join(f"<p>{escape(line)}</p>" for line in text.splitlines() if line.strip())
    return f'<div xmlns="http://www.w3.org/1999/xhtml">{lines}</div>'


def _relates(code: str, composition: Resource) -> Resource:
    return {"code": code, "targetReference": {"reference": f"Composition/{composition['id']}"}}
