"""Seal a document: a detached signature over the one way of writing it.

https://hl7.org/fhir/R4/signatures.html and https://hl7.org/fhir/R4/json.html#canonical
"""

from base64 import b64encode
from collections.abc import Callable

import msgspec

from r4.json import Resource

Seal = Callable[[bytes], str]
"""Signs bytes: returns a compact JWS whose payload is left out, `header..signature` (RFC 7515)."""

AUTHOR = {"system": "urn:iso-astm:E1762-95:2013", "code": "1.2.840.10065.1.12.1.1"}
"""The coding of an author's signature."""
JOSE = "application/jose"
_JSON = "application/fhir+json"
_APART = ("id", "meta", "signature")

_sorted = msgspec.json.Encoder(decimal_format="number", order="deterministic")


def canonical(bundle: Resource) -> bytes:
    """Return the bytes of a document Bundle that are signed, equal wherever the Bundle is kept.

    JSON in UTF-8, names sorted, no blanks between tokens, decimals with the digits they were
    written with. The root's id, meta and signature are left out: they are its keeper's, not its
    author's (http://hl7.org/fhir/canonicalization/json#document).
    """
    return _sorted.encode({key: value for key, value in bundle.items() if key not in _APART})


def sealed(bundle: Resource, seal: Seal, who: Resource, when: str) -> Resource:
    """Return the Bundle with its signature; who is a Reference, when an instant."""
    signature = {
        "type": [AUTHOR],
        "when": when,
        "who": who,
        "targetFormat": _JSON,
        "sigFormat": JOSE,
        "data": b64encode(seal(canonical(bundle)).encode()).decode(),
    }
    return {**bundle, "signature": signature}
