"""Who an EPR, or an identity provider, says somebody is: its identity token, verified; and our assertion.

https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation,
https://hl7.org/fhir/smart-app-launch/client-confidential-asymmetric.html
"""

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet

from fhir_server.access.eprs import Key
from r4.issue import FhirError, error

ALGORITHMS = ("RS256", "RS384", "ES256", "ES384")
"""With a key pair all: neither `none` nor a secret that both sides know is taken."""
_LEEWAY = 60
_LIFE = 240
"""Seconds that an assertion is good for; SMART lets it be 300."""


class Expected(NamedTuple):
    """Who must have issued a token, for whom, and in answer to what; who: the issuer in words.

    nonce: None where it answers nothing, as a logout token, which must have none.
    """

    issuer: str
    audience: str
    nonce: str | None
    who: str = "the hospital's system"


def claims(
    token: str, keys: Mapping[str, Any], expected: Expected, now: datetime
) -> Mapping[str, Any]:
    """Return the claims of a provider's token; raises FhirError 502 where anything in it does not hold."""
    listed = keys.get("keys")
    usable = [each for each in listed if _is_usable(each)] if isinstance(listed, list) else []
    nonce = {"essential": True, "value": expected.nonce}
    answers: dict[str, Any] = {} if expected.nonce is None else {"nonce": nonce}
    held = jwt.JWTClaimsRegistry(
        now=int(now.timestamp()),
        leeway=_LEEWAY,
        iss={"essential": True, "value": expected.issuer},
        aud={"essential": True, "value": expected.audience},
        exp={"essential": True},
        iat={"essential": True},
        **answers,
    )
    try:
        found = jwt.decode(token, KeySet.import_key_set({"keys": usable}), list(ALGORITHMS)).claims
        held.validate(found)
    except (JoseError, ValueError, TypeError, KeyError) as wrong:
        reason = wrong.error if isinstance(wrong, JoseError) else "not a signed token"
        text = f"The identity that {expected.who} gives does not hold ({reason})."
        raise FhirError(502, [error("security", text)]) from None
    if expected.nonce is None and "nonce" in found:
        text = f"The token that {expected.who} gives answers a sign-in."
        raise FhirError(502, [error("security", text)])
    party = None if _is_for_many(found["aud"]) else expected.audience
    if found.get("azp", party) != expected.audience:
        text = f"The identity that {expected.who} gives is another application's too."
        raise FhirError(502, [error("security", text)])
    return found


def assertion(key: Key, client_id: str, audience: str, now: datetime) -> str:
    """Return the registry's proof, good for one request, that it is the client that was registered."""
    algorithm = "ES384" if isinstance(key, ECKey) else "RS384"
    header = {"alg": algorithm, "kid": key.kid or key.thumbprint(), "typ": "JWT"}
    made = {
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "exp": int(now.timestamp()) + _LIFE,
        "jti": secrets.token_urlsafe(16),
    }
    return jwt.encode(header, made, key, [algorithm])


def _is_for_many(audience: object) -> bool:
    return isinstance(audience, list) and len(audience) > 1


def _is_usable(key: object) -> bool:
    return isinstance(key, dict) and key.get("kty") in ("RSA", "EC") and key.get("use") != "enc"
