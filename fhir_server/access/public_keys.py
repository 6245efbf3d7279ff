"""A client's public keys, as JWKS: which of them may sign, and the one that a token names.

https://www.rfc-editor.org/rfc/rfc7517,
https://hl7.org/fhir/smart-app-launch/client-confidential-asymmetric.html#registering-a-client-communicating-public-keys
"""

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from r4.json import decode

ALGORITHMS = {"RS384": "RSA", "ES384": "EC", "RS512": "RSA"}
"""By which algorithms a client may sign, and the kind of key of each; a secret is no key here."""
_CURVE = "P-384"
_LEAST_BITS = 2048
_BITS_OF_CHARACTER = 6
"""How much of a number one character of base64url holds."""
_SECRET = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_MOST = 20

Key = ECKey | RSAKey


def public(jwks: Any) -> tuple[Key, ...]:
    """Read a JWKS whose every key may sign; raises ValueError that says what is wrong with one."""
    listed = jwks.get("keys") if isinstance(jwks, dict) else None
    if not isinstance(listed, list) or not listed:
        raise ValueError("this is no JWKS: it has no keys.")
    if len(listed) > _MOST:
        raise ValueError(f"this JWKS has more than {_MOST} keys.")
    found = tuple(_read(each) for each in listed)
    if len({key.kid for key in found}) < len(found):
        raise ValueError("two keys of the JWKS have one kid.")
    return found


def usable(jwks: Any) -> tuple[Key, ...]:
    """Return those keys of a published JWKS that may sign; of several with one kid, none."""
    listed = jwks.get("keys") if isinstance(jwks, dict) else None
    found: list[Key] = []
    for each in listed[:_MOST] if isinstance(listed, list) else ():
        with suppress(ValueError):
            found.append(_read(each))
    times = Counter(key.kid for key in found)
    return tuple(key for key in found if times[key.kid] == 1)


@lru_cache(maxsize=256)
def of_json(jwks: bytes) -> tuple[Key, ...]:
    """Read a JWKS that has been read before as JSON."""
    return public(decode(jwks))


def named(keys: tuple[Key, ...], kid: str, algorithm: str) -> Key | None:
    """Return the key of a kid that an algorithm goes with, or None."""
    for key in keys:
        if key.kid == kid and key.key_type == ALGORITHMS[algorithm]:
            return key if key.alg in (None, algorithm) else None
    return None


def _read(given: Any) -> Key:
    """Read one key; raises ValueError."""
    if not isinstance(given, Mapping) or not isinstance(given.get("kid"), str) or not given["kid"]:
        raise ValueError("each key of a JWKS needs a kid.")
    said = f"the key {given['kid']!r}"
    if _SECRET & given.keys():
        raise ValueError(f"{said} is not public: send no private key to anybody, and make another.")
    if given.get("use", "sig") != "sig" or "verify" not in given.get("key_ops", ["verify"]):
        raise ValueError(f"{said} is not for signatures.")
    if (
        given.get("kty") == "RSA"
        and len(str(given.get("n")).lstrip("A")) * _BITS_OF_CHARACTER < _LEAST_BITS
    ):
        raise ValueError(f"{said} has fewer than {_LEAST_BITS} bits.")
    try:
        key: Key = (
            ECKey.import_key(dict(given))
            if given.get("kty") == "EC"
            else RSAKey.import_key(dict(given))
        )
    except (JoseError, ValueError, TypeError, KeyError):
        raise ValueError(f"{said} is neither RSA nor elliptic on {_CURVE}.") from None
    if isinstance(key, ECKey) and key.curve_name != _CURVE:
        raise ValueError(f"{said} is on {key.curve_name}, not on {_CURVE}.")
    return key
