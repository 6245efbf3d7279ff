"""The keys that seal documents: read from a file, made where there is none, published as a JWKS.

ES384 alone, by RFC 7515 (JWS, detached: appendix F), RFC 7517 (JWKS) and RFC 7638 (key ids).
"""

import os
import re
import secrets
from base64 import b64decode, urlsafe_b64encode
from functools import cached_property
from pathlib import Path
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from fhir_server.access.private import refuse_readable
from fhir_server.settings import Settings
from questionnaires.seal import AUTHOR, JOSE, Seal, canonical
from r4.issue import FhirError, error
from r4.json import Resource, decode

ALGORITHM = "ES384"
_CURVE = "P-384"
_BLOCK = re.compile(rb"-----BEGIN ([A-Z ]+)-----.+?-----END \1-----", re.DOTALL)


class Keys:
    """The keys of a PEM file: the first seals, the public parts of all of them verify.

    The file is read when a key is first needed, and made, for its owner alone, where it is not there.
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    @cached_property
    def _keys(self) -> tuple[ECKey, ...]:
        if not self.file.exists():
            _make(self.file)
        return _read(self.file)

    def seal(self, content: bytes) -> str:
        """Sign bytes: a compact JWS with its payload left out; raises ValueError for a useless file."""
        key = self._keys[0]
        header = {"alg": ALGORITHM, "kid": key.thumbprint()}
        token = jws.serialize_compact(header, content, key, algorithms=[ALGORITHM])
        head, _, signature = token.split(".")
        return f"{head}..{signature}"

    def jwks(self) -> Resource:
        """Return the public keys, by which anybody verifies; raises ValueError as `seal` does."""
        return {"keys": [_public(key) for key in self._keys]}


def compact(content: bytes, seal: Seal) -> str:
    """Return bytes as a compact JWS with its payload, signed by the key that seals."""
    head, _, signature = seal(content).split(".")
    return f"{head}.{urlsafe_b64encode(content).rstrip(b'=').decode()}.{signature}"


def signing_key(settings: Settings) -> Path:
    """Return the file of the keys: the operator's, or one beside the database."""
    if settings.signing_key is not None:
        return settings.signing_key
    beside = "csor" if "://" in settings.database else settings.database
    return Path(f"{beside}.signing.pem")


def own(settings: Settings) -> Resource:
    """Return this server's own public keys; raises ValueError where it has no keys here."""
    place = signing_key(settings)
    if not place.exists():
        raise ValueError(f"{place} is not there: give the public keys with --keys.")
    return Keys(place).jwks()


def verify(document: Resource, jwks: Resource) -> Resource:
    """Return the signature of a document that is good: by one of the keys, over exactly this document.

    Raises FhirError 422 where it is not, where there is none, and where it says another purpose than
    an author's, or another signer or time than the document's attester.
    """
    signature = document.get("signature")
    is_document = (document.get("resourceType"), document.get("type")) == ("Bundle", "document")
    if not is_document or not isinstance(signature, dict):
        raise _refusal("This is no document Bundle with a signature.", "required")
    _verified(signature, canonical(document), jwks)
    _attested(signature, document)
    return signature


def _verified(signature: Resource, content: bytes, jwks: Resource) -> None:
    if signature.get("sigFormat") != JOSE:
        raise _refusal(f"The signature is no {JOSE}: it cannot be verified here.", "not-supported")
    try:
        token = b64decode(signature["data"], validate=True).decode("ascii")
    except (KeyError, TypeError, ValueError):
        raise _refusal("The signature's data is no compact JWS.", "structure") from None
    check(token, content, jwks)


def check(token: str, content: bytes, jwks: Resource) -> None:
    """Raise FhirError 422 unless a token of `Keys.seal` is over this content, by one of the keys."""
    try:
        head, payload, last = token.split(".")
        said = decode(b64decode(head + "=" * (-len(head) % 4), altchars=b"-_", validate=True))
    except (AttributeError, ValueError, RecursionError):
        raise _refusal("The signature's data is no compact JWS.", "structure") from None
    if payload or not isinstance(said, dict) or said.keys() != {"alg", "kid"}:
        text = "The signature is no detached JWS whose header has alg and kid, and nothing else."
        raise _refusal(text, "structure")
    if said["alg"] != ALGORITHM:
        raise _refusal(
            f"The signature is by {said['alg']!r}; only {ALGORITHM} is taken.", "security"
        )
    key = next((each for each in jwks.get("keys", ()) if each.get("kid") == said["kid"]), None)
    if key is None:
        raise _refusal(f"No key given is {said['kid']!r}, by which it was signed.", "security")
    whole = f"{head}.{urlsafe_b64encode(content).rstrip(b'=').decode()}.{last}"
    try:
        jws.deserialize_compact(whole, ECKey.import_key(key), algorithms=[ALGORITHM])
    except (JoseError, ValueError):
        text = "The signature is not of this content: it has been changed since it was signed."
        raise _refusal(text, "security") from None


def _attested(signature: Resource, document: Resource) -> None:
    """Hold what the signature says of itself, which is not signed, against what is."""
    if signature.get("type") != [AUTHOR] or "onBehalfOf" in signature:
        text = "The signature says that it is another than its author's own."
        raise _refusal(text, "security")
    first = document["entry"][0]["resource"]
    legal = [each for each in first.get("attester", ()) if each.get("mode") == "legal"]
    said = (signature.get("who"), signature.get("when"))
    if said not in [(each.get("party"), each.get("time")) for each in legal]:
        text = "The signature names another signer or time than the document's attester."
        raise _refusal(text, "security")


def _refusal(text: str, code: str) -> FhirError:
    return FhirError(422, [error(code, text, "Bundle.signature", "signature")])


def _public(key: ECKey) -> dict[str, Any]:
    named = {"kid": key.thumbprint(), "use": "sig", "alg": ALGORITHM}
    return {**key.as_dict(private=False), **named}


def _read(file: Path) -> tuple[ECKey, ...]:
    refuse_readable(file)
    try:
        blocks = [match.group() for match in _BLOCK.finditer(file.read_bytes())]
        keys = tuple(ECKey.import_key(each) for each in blocks)
    except (JoseError, ValueError) as wrong:
        raise ValueError(f"{file} holds what is no key in PEM: {wrong}") from None
    if not keys or not keys[0].is_private or any(key.curve_name != _CURVE for key in keys):
        raise ValueError(
            f"{file} begins with no private key of {_CURVE}, or holds a key of another."
        )
    return keys


def _make(file: Path) -> None:
    write_once(file, ECKey.generate_key(_CURVE, private=True).as_pem(private=True))


def write_once(file: Path, content: bytes) -> None:
    """Write a file of secrets, whole or not at all: of two processes that begin together, one does."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        try:
            os.link(draft, file)
        except FileExistsError:
            return
    finally:
        draft.unlink()
