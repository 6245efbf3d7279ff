"""The audit as AuditEvents, one for each of its rows, after the patterns of IHE's BALP; no content.

An event of a search names the children of whom the answer told, all in one event: BALP has one for each.
https://hl7.org/fhir/R4/auditevent.html
https://profiles.ihe.net/ITI/BALP/content.html
"""

import base64
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from fhir_server.context import Context, instant
from fhir_server.store.audit import Access
from fhir_server.store.chain import MASKED
from r4.json import Resource
from terminology.systems import CSOR, ODS_ORGANIZATION

TYPE = "AuditEvent"
_BALP = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit"
_DICOM = "http://dicom.nema.org/resources/ontology/DCM"
_HL7 = "http://terminology.hl7.org/CodeSystem"
_REST = f"{_HL7}/audit-event-type"
_INTERACTION = "http://hl7.org/fhir/restful-interaction"
_OWN = f"{CSOR}/CodeSystem/audit-interaction"
ACT_REASON = f"{_HL7}/v3-ActReason"

_SOURCE = (_DICOM, "110153", "Source Role ID")
_DESTINATION = (_DICOM, "110152", "Destination Role ID")
_APPLICATION = (_DICOM, "110150", "Application")
_CUSTODIAN = (f"{_HL7}/provenance-participant-type", "custodian", "Custodian")
_SERVER_ERROR, _REFUSED = 500, 400

ACTIONS: Mapping[str, str] = {
    "create": "C", "update": "U", "patch": "U", "delete": "D", "purge": "D",
    "read": "R", "vread": "R", "history-instance": "R", "history-type": "R", "history-system": "R",
    "capabilities": "R",
}  # fmt: skip
"""The action of each interaction; of any other, execution."""
_PATTERNS = {
    "create": "Create", "update": "Update", "patch": "Update", "delete": "Delete",
    "read": "Read", "vread": "Read", "search-type": "Query", "search-system": "Query",
    "search-compartment": "Query",
}  # fmt: skip
_SEARCH_TYPE = frozenset({"search-compartment"})
STANDARD = frozenset(
    {
        "create", "update", "patch", "delete", "read", "vread", "search-type", "search-system",
        "history-instance", "history-type", "history-system", "capabilities", "transaction", "batch",
    }
)  # fmt: skip
"""The interactions that have their code of restful-interaction."""


def event(context: Context, access: Access, patients: Mapping[int, str]) -> Resource:
    """Return the AuditEvent of an access; patients: the ids of those whom it may tell of."""
    moment = instant(datetime.fromtimestamp(access.moment / 1_000_000, UTC))
    told = [_patient(patients[each]) for each in access.children if each in patients]
    told += [_patient(None)] * access.erased
    made: Resource = {
        "resourceType": TYPE,
        "id": str(access.id),
        "meta": {"versionId": "1", "lastUpdated": moment},
        "type": _coding(*_type(access)),
        "subtype": list(_subtypes(access)),
        "action": ACTIONS.get(access.interaction, "E"),
        "recorded": moment,
        "outcome": outcome(access),
        "agent": list(_agents(context, access)),
        "source": {
            "site": context.base_url,
            "observer": _server(context),
            "type": [_coding(f"{_HL7}/security-source-type", "4", "Application Server")],
        },
    }
    if entities := [*_entities(context, access), *told]:
        made["entity"] = entities
    if access.status is not None:
        made["outcomeDesc"] = f"HTTP {access.status}"
    if access.agent.purpose is not None:
        made["purposeOfEvent"] = [_purpose(access.agent.purpose)]
    if profile := _profile(access, len(told)):
        made["meta"]["profile"] = [profile]
    return made


def outcome(access: Access) -> str:
    """Return the code of an access's outcome: 0 success, 4 refused, 8 failed here."""
    status = access.status or 0
    return "8" if status >= _SERVER_ERROR else "4" if status >= _REFUSED else "0"


def _profile(access: Access, children: int) -> str | None:
    """Return the pattern of BALP that an event keeps, None where it keeps none.

    What fails is recorded otherwise there, and so is whoever comes without an address.
    """
    name = _PATTERNS.get(access.interaction)
    if name is None or outcome(access) != "0" or access.agent.address is None:
        return None
    return f"{_BALP}.{'Patient' if children == 1 else ''}{name}"


def _type(access: Access) -> tuple[str, str, str]:
    if access.interaction in STANDARD | _SEARCH_TYPE or access.interaction.startswith("$"):
        return _REST, "rest", "Restful Operation"
    return _DICOM, "110100", "Application Activity"


def _subtypes(access: Access) -> Iterator[Resource]:
    name = access.interaction
    if name in STANDARD:
        yield _coding(_INTERACTION, name, name)
    elif name in _SEARCH_TYPE:
        yield _coding(_INTERACTION, "search-type", "search-type")
        yield _coding(_OWN, name)
    else:
        if name.startswith("$"):
            yield _coding(_INTERACTION, "operation", "operation")
        yield _coding(_OWN, name.removeprefix("$"))


def _agents(context: Context, access: Access) -> Iterator[Resource]:
    """Yield who asked, for which hospitals, and this server."""
    who, name = access.agent, access.interaction
    client, server = _SOURCE, _DESTINATION
    if ACTIONS.get(name) == "R":
        client, server = server, client
    elif name == "delete":
        client, server = _APPLICATION, _CUSTODIAN
    asking: Resource = {
        "type": {"coding": [_coding(*client)]},
        "who": {
            "identifier": {"system": f"{CSOR}/Id/audit-agent", "value": who.name},
            "display": who.name,
        },
        "name": who.name,
        "requestor": True,
    }
    if who.role:
        asking["role"] = [
            {"coding": [_coding(f"{CSOR}/CodeSystem/role", each)]} for each in who.role.split()
        ]
    if who.address:
        asking["network"] = {"address": who.address, "type": "2"}
    if who.purpose:
        asking["purposeOfUse"] = [_purpose(who.purpose)]
    yield asking
    for each in (who.hospital or "").split():
        yield {
            "type": {"coding": [_coding(f"{_HL7}/v3-RoleClass", "PROV", "healthcare provider")]},
            "who": _hospital(each),
            "requestor": False,
        }
    yield {
        "type": {"coding": [_coding(*server)]},
        "who": _server(context),
        "requestor": False,
        "network": {"address": context.base_url, "type": "5"},
    }


def _hospital(said: str) -> Resource:
    if "/" in said:
        return {"reference": said}
    return {"identifier": {"system": ODS_ORGANIZATION, "value": said}, "display": said}


def _server(context: Context) -> Resource:
    return {
        "identifier": {"system": "urn:ietf:rfc:3986", "value": context.base_url},
        "display": "CSOR",
    }


def _entities(context: Context, access: Access) -> Iterator[Resource]:
    """Yield the resource that was asked for, or the query by the names of what it asks."""
    system = _coding(f"{_HL7}/audit-entity-type", "2", "System Object")
    if access.query is not None or access.interaction.startswith("search"):
        asked = "/".join(part for part in (access.type, access.key) if part)
        text = f"{asked}?{access.query}" if access.query else asked
        yield {
            "type": system,
            "role": _coding(f"{_HL7}/object-role", "24", "Query"),
            "description": "The names of the parameters, without their values.",
            "query": base64.b64encode(text.encode()).decode(),
        }
    elif access.type is not None and access.key is not None:
        role = _coding(f"{_HL7}/object-role", "4", "Domain Resource")
        yield {"what": _what(access.type, access.key, access.version), "type": system, "role": role}
    elif access.key is not None:
        role = _coding(f"{_HL7}/object-role", "20", "Job")
        what = {"identifier": {"system": f"{context.base_url}/$bulk", "value": access.key}}
        yield {"what": what, "type": system, "role": role}


def _what(kind: str, key: str, version: int | None) -> Resource:
    if key.startswith(MASKED):
        return {"display": f"{kind}, erased"}
    return {"reference": f"{kind}/{key}" + (f"/_history/{version}" if version else "")}


def _patient(id_: str | None) -> Resource:
    what = {"display": "Patient, erased"} if id_ is None else {"reference": f"Patient/{id_}"}
    return {
        "what": what,
        "type": _coding(f"{_HL7}/audit-entity-type", "1", "Person"),
        "role": _coding(f"{_HL7}/object-role", "1", "Patient"),
    }


def _purpose(code: str) -> Resource:
    return {"coding": [_coding(ACT_REASON, code)]}


def _coding(system: str, code: str, display: str | None = None) -> Resource:
    return {"system": system, "code": code, **({"display": display} if display else {})}
