"""Heads of the audit's chain, signed by this server's key: what the audit was, whoever holds the database.

A head is a JSON object: `last`, the audit's last row; `hash`, the chain's hash there (hexadecimal);
`moment`, an instant; `signature`, a compact JWS without its payload, which is the other three as
canonical JSON.
"""

from typing import Any

from fhir_server.access import keys
from fhir_server.store.chain import Head
from questionnaires.seal import Seal, canonical
from r4.issue import FhirError, error
from r4.json import Resource


def signed(head: Head, moment: str, seal: Seal) -> Resource:
    """Return a head with its signature; moment is an instant."""
    said: dict[str, Any] = {"last": head.last, "hash": head.hash.hex(), "moment": moment}
    return {**said, "signature": seal(canonical(said))}


def checked(told: Resource, jwks: Resource) -> Head:
    """Return the head that one of the keys has signed; raises FhirError 422 where none has."""
    try:
        token, found = told["signature"], Head(int(told["last"]), bytes.fromhex(told["hash"]))
    except (KeyError, TypeError, ValueError):
        text = "This is no head of the audit: it has last, hash, moment and signature."
        raise FhirError(422, [error("structure", text)]) from None
    keys.check(token, canonical(told), jwks)
    return found
