"""A client's proof of who it is: a JWT that it has signed for this server, once (`private_key_jwt`).

https://hl7.org/fhir/smart-app-launch/client-confidential-asymmetric.html,
https://www.rfc-editor.org/rfc/rfc7523#section-3
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import JoseError

from fhir_server.access.clients import Client, Clients
from fhir_server.access.jwks import KeySets, UnreachableError
from fhir_server.access.public_keys import ALGORITHMS
from r4.json import decode

KIND = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LIFE = 300
"""Seconds ahead that an assertion may expire."""
LEEWAY = 30
"""Seconds that the client's clock may be wrong."""
FAILURES, WINDOW = 10, timedelta(minutes=1)
"""How many failed attempts of a client, from one address, make others wait for how long."""
_LONGEST = 16 * 1024
_LONGEST_ID = 256
_MOST = 10_000
"""Most addresses whose failures are counted: a crowd of them must not fill the memory."""
_LATEST = 1e12
"""Seconds since 1970 that no clock says."""


class OAuthError(Exception):
    """A refusal as OAuth writes it: error and description (ASCII), whose it was, HTTP status."""

    def __init__(self, error: str, description: str, client: str = "", status: int = 400) -> None:
        super().__init__(description)
        self.error, self.description = error, description
        self.client, self.status = client, status


class Assertions:
    """Verifies assertions, each good once; which ones were used is remembered until they expire."""

    def __init__(
        self, registered: Clients, keys: KeySets, audience: str, now: Callable[[], datetime]
    ) -> None:
        self._registered, self._keys = registered, keys
        self._audience, self._now = audience, now
        self._used: dict[tuple[str, str], datetime] = {}
        self._swept = now()
        self._failed: dict[tuple[str, str], tuple[datetime, int]] = {}

    async def client(self, assertion: str, address: str) -> Client:
        """Return who has signed an assertion; raises OAuthError: `invalid_client`, or 429 after many."""
        header, client = self._read(assertion)
        self._refuse_many(address, client.name)
        try:
            self._refuse_wrong(await self._verified(assertion, header, client), client)
        except OAuthError:
            self._count(address, client.name)
            raise
        return client

    def _read(self, assertion: str) -> tuple[Mapping[str, Any], Client]:
        """Return the header of an assertion, and who it says that it is; nothing is verified yet."""
        if len(assertion) > _LONGEST:
            raise _wrong(f"The assertion is longer than {_LONGEST} characters.")
        try:
            read = jws.extract_compact(assertion.encode("ascii"))
            header, name = read.headers(), decode(bytes(read.payload))["iss"]
        except (JoseError, ValueError, TypeError, KeyError, RecursionError, ArithmeticError):
            raise _wrong("The assertion is no signed JWT with an iss.") from None
        found = self._registered.known.get(name) if isinstance(name, str) else None
        if found is None or found.revoked or not found.has_keys:
            raise _wrong("The iss of the assertion is no client with keys that is registered here.")
        return header, found

    async def _verified(
        self, assertion: str, header: Mapping[str, Any], client: Client
    ) -> Mapping[str, Any]:
        """Return the claims of an assertion that the client has signed."""
        algorithm, kid, jku = (header.get(each) for each in ("alg", "kid", "jku"))
        if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
            raise _wrong(f"The assertion is signed by none of {', '.join(ALGORITHMS)}.", client)
        if not isinstance(kid, str):
            raise _wrong("The header of the assertion has no kid.", client)
        if jku is not None and jku != client.jwks_url:
            raise _wrong("The jku of the assertion is not the registered jwks_url.", client)
        try:
            key = await self._keys.key(client, kid, algorithm)
        except UnreachableError as failure:
            raise _wrong(f"The JWKS of the client cannot be had: {failure}.", client) from None
        if key is None:
            raise _wrong("The client has no key of this kid for this alg.", client)
        try:
            return jwt.decode(assertion, key, [algorithm]).claims
        except (JoseError, ValueError, TypeError):
            raise _wrong("The signature of the assertion does not hold.", client) from None

    def _refuse_wrong(self, claims: Mapping[str, Any], client: Client) -> None:
        """Raise OAuthError unless the claims hold now, for us, and for the first time."""
        now = self._now().timestamp()
        expires, used = _time(claims.get("exp")), claims.get("jti")
        if (claims.get("iss"), claims.get("sub")) != (client.name, client.name):
            raise _wrong("iss and sub of the assertion are both the client_id.", client)
        if claims.get("aud") not in (self._audience, [self._audience]):
            raise _wrong(f"The aud of the assertion is {self._audience} and nothing else.", client)
        if expires is None:
            raise _wrong("The assertion has no exp that is a number.", client)
        if expires + LEEWAY <= now:
            raise _wrong("The assertion has expired.", client)
        if expires > now + LIFE + LEEWAY:
            raise _wrong(f"The assertion expires at most {LIFE} seconds from now.", client)
        for name in ("nbf", "iat"):
            since = _time(claims[name]) if name in claims else now
            if since is None or since > now + LEEWAY:
                raise _wrong(f"The {name} of the assertion is in the future.", client)
        if not isinstance(used, str) or not 0 < len(used) <= _LONGEST_ID:
            raise _wrong(f"The assertion has no jti of up to {_LONGEST_ID} characters.", client)
        self._use(client, used, expires)

    def _use(self, client: Client, used: str, expires: float) -> None:
        now = self._now()
        key = (client.name, used)
        if key in self._used and now < self._used[key]:
            raise _wrong("The jti of the assertion was used before: make a new one.", client)
        if now >= self._swept + WINDOW:
            self._used = {each: until for each, until in self._used.items() if now < until}
            self._swept = now
        self._used[key] = now + timedelta(seconds=max(0.0, expires - now.timestamp()) + LEEWAY)

    def _refuse_many(self, address: str, name: str) -> None:
        began, many = self._failed.get((address, name), (self._now(), 0))
        if many >= FAILURES and self._now() < began + WINDOW:
            text = "Too many attempts of this client have failed: wait a minute, and mend it."
            raise OAuthError("temporarily_unavailable", text, name, 429)

    def _count(self, address: str, name: str) -> None:
        now = self._now()
        if len(self._failed) >= _MOST:
            self._failed.clear()
        began, many = self._failed.get((address, name), (now, 0))
        self._failed[address, name] = (began, many + 1) if now < began + WINDOW else (now, 1)


def _time(value: object) -> float | None:
    """Return a NumericDate, or None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < _LATEST else None


def _wrong(text: str, client: Client | None = None) -> OAuthError:
    return OAuthError("invalid_client", text, client.name if client else "")
