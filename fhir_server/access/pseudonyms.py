"""Pseudonyms: a keyed token for each place, and for each child the days by which its dates are shifted.

A token is the 64-bit key of a place, by AES-SIV (RFC 5297), deterministic, with the resource's type as
what is authenticated beside it: whoever has the key reads the place back, and nobody else can tell two
tokens' places, or make one. https://www.rfc-editor.org/rfc/rfc5297
"""

import base64
import binascii
import hashlib
import hmac
import logging
import struct
from functools import cached_property

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from fhir_server.access.pseudonym_files import Policy, Secrets, read_policy, read_secrets
from fhir_server.settings import Settings
from r4.issue import FhirError, error

logger = logging.getLogger("csor.access")

_PLACE = struct.Struct(">q")
_LENGTH = 39
"""Characters of a token: 24 bytes in base 32, without the sign that fills up."""


class Pseudonyms:
    """What makes and reads pseudonyms, by the secrets of one key file and by one policy."""

    def __init__(self, secrets: Secrets, policy: Policy) -> None:
        self.policy = policy
        self._secrets = secrets
        self._cipher = AESSIV(secrets.tokens)

    @cached_property
    def version(self) -> str:
        """Name the policy with a mark of the secrets, which tells nothing of them."""
        mark = hmac.new(self._secrets.tokens + self._secrets.shifts, b"version", hashlib.sha256)
        return f"{self.policy.version}-{mark.hexdigest()[:12]}"

    def token(self, kind: str, place: int) -> str:
        """Return the token of a resource of a type, by the key of its place."""
        sealed = self._cipher.encrypt(_PLACE.pack(place), [kind.encode()])
        return base64.b32encode(sealed).decode().rstrip("=").lower()

    def place(self, kind: str, token: str) -> int | None:
        """Return the key of the place of a token; None for what is no token of a resource of the type."""
        if len(token) != _LENGTH:
            return None
        try:
            sealed = base64.b32decode(token.upper() + "=")
            found: int = _PLACE.unpack(self._cipher.decrypt(sealed, [kind.encode()]))[0]
        except (binascii.Error, InvalidTag, ValueError):
            return None
        return found if self.token(kind, found) == token else None

    def days(self, child: int) -> int:
        """Return the days by which all dates of a child are earlier than they were."""
        digest = hmac.new(self._secrets.shifts, _PLACE.pack(child), hashlib.sha256).digest()
        policy = self.policy
        return policy.least + int.from_bytes(digest) % (policy.most - policy.least + 1)


def pseudonyms(settings: Settings) -> Pseudonyms:
    """Return what the settings name; raises ValueError where a file is not named, or is useless."""
    for name, file in (
        ("CSOR_PSEUDONYM_KEY", settings.pseudonym_key),
        ("CSOR_PSEUDONYM_POLICY", settings.pseudonym_policy),
    ):
        if file is None:
            raise ValueError(f"{name} is not set, without which there is no role of analyst here.")
    assert settings.pseudonym_key is not None  # noqa: S101 - looked at above
    assert settings.pseudonym_policy is not None  # noqa: S101 - looked at above
    policy = read_policy(settings.pseudonym_policy)
    return Pseudonyms(read_secrets(settings.pseudonym_key), policy)


def in_use(settings: Settings) -> Pseudonyms:
    """Return what an analyst is answered by; raises FhirError 403 where there is nothing to do that by."""
    try:
        return pseudonyms(settings)
    except ValueError as wrong:
        logger.error("no analyst is let in: %s", wrong)  # noqa: TRY400 - the file is named
        text = (
            "No analyst is let in here: CSOR_PSEUDONYM_KEY and CSOR_PSEUDONYM_POLICY are to be set."
        )
        raise FhirError(403, [error("forbidden", text)]) from None


def refuse_useless(settings: Settings) -> None:
    """Raise ValueError where a key file or a policy is named and useless; a key file is made."""
    if settings.pseudonym_policy is not None:
        read_policy(settings.pseudonym_policy)
    if settings.pseudonym_key is not None:
        read_secrets(settings.pseudonym_key)
