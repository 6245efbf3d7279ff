"""What an integrator may do, and whose scorecard somebody may see.

An integrator is a person who works for whoever builds a hospital's interface: no child's record is shown
to them.
"""

from collections.abc import Iterable

from fhir_server.access.roles import INTEGRATOR, REGISTRY
from fhir_server.context import Principal

INTEGRATOR_MAY = frozenset({"$scorecard"})
"""What a person of this role may do."""


def may_see(principal: Principal, name: str, hospitals: Iterable[str]) -> bool:
    """Tell whether somebody may see the scorecard of a client, which has a name and is of hospitals.

    A client sees its own; the registry's own, without scopes, every one; an integrator those of clients
    of no other hospitals than the integrator's.
    """
    if REGISTRY in principal.roles and principal.scopes is None:
        return True
    if INTEGRATOR in principal.roles:
        theirs = frozenset(hospitals)
        return bool(theirs) and theirs <= principal.hospitals
    return principal.name == name
