"""Whose scorecard is asked for: a registered client, or a sender of HL7 v2, and who may see it."""

from fhir_server.access import clients
from fhir_server.access.integrator import may_see
from fhir_server.access.senders import LOCAL_SENDER, senders
from fhir_server.context import Context, Principal
from fhir_server.operations.scorecard import Client
from fhir_server.operations.scorecard_scenarios import DOORS, Door
from fhir_server.settings import Settings
from r4.issue import FhirError, error

_HL7V2: Door = "hl7v2"


def client(settings: Settings, name: str) -> tuple[Client, frozenset[str]] | None:
    """Return a client by its name, with the ODS codes of its hospitals; None where nobody has it.

    Raises ValueError where a file of clients or senders is wrong.
    """
    if name == LOCAL_SENDER.name:
        return Client(name, frozenset({name}), frozenset(DOORS)), frozenset()
    known = {each.name: each for each in clients(settings.clients)}.get(name)
    sending = senders(settings).of_client(name)
    hospitals = frozenset(code for each in sending for code in each.hospitals or ())
    if known is None and not sending:
        return None
    doors: set[Door] = {_HL7V2} if sending else set()
    if known is not None:
        hospitals |= known.hospitals
        doors |= {door for door in DOORS if door in known.doors and door != _HL7V2}
    application = None
    if settings.sandbox and known is not None and _HL7V2 in known.doors:
        application = name
        doors.add(_HL7V2)
    connections = frozenset(each.name for each in sending)
    return Client(name, connections, frozenset(doors), application), hospitals


def shown(context: Context, principal: Principal, name: str) -> Client:
    """Return a client whose scorecard somebody may see.

    Raises FhirError 404 for any other, known or not, in the same words.
    """
    found = client(context.settings, name)
    if found is None or not may_see(principal, name, found[1]):
        text = f"There is no client {name} here whose scorecard you may see."
        raise FhirError(404, [error("not-found", text, "Parameters.parameter('client')")])
    return found[0]
