"""The demo's own identity provider: it asks nobody who they are, and lets anybody be anyone fictitious.

It is a provider like any other, by OpenID Connect, and can be had on one machine alone, where whoever
reaches it may do everything anyway (`refuse_development`).
https://openid.net/specs/openid-connect-core-1_0.html#CodeFlowAuth
"""

import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey

from fhir_server.access import is_local
from fhir_server.access.asking import ask
from fhir_server.access.jwks import Fetched, UnreachableError
from fhir_server.access.oidc_providers import DEVELOPMENT, SCOPES, Provider
from fhir_server.access.pending import challenge
from fhir_server.access.people import Rule
from fhir_server.access.roles import OF_HOSPITALS, OF_PEOPLE
from fhir_server.access.tables import is_ods
from fhir_server.settings import Settings
from r4.issue import FhirError, error

NOTICE = "Development sign-in: nobody is checked."
PATH = "/development-sign-in"
_CLIENT = "csor"
_LIFE = timedelta(minutes=5)
_MOST = 1000


class Fictitious(NamedTuple):
    """Somebody who may be chosen."""

    name: str
    role: str


PEOPLE = {role: Fictitious(f"Demonstration {role.replace('-', ' ')}", role) for role in OF_PEOPLE}
"""Who may be chosen, by the `sub` of each."""


def refuse_development(settings: Settings) -> None:
    """Raise ValueError where the demo's sign-in could be reached from elsewhere, or beside a real one."""
    if not settings.demo:
        return
    host = urlsplit(settings.base_url or "").hostname
    if not is_local(settings.fhir_host) or (host is not None and not is_local(host)):
        raise ValueError(
            "CSOR_DEMO lets anybody sign in as anyone, and is for 127.0.0.1 alone: unset it, or "
            "CSOR_FHIR_HOST and CSOR_BASE_URL."
        )
    if settings.identity_providers is not None:
        raise ValueError(
            "CSOR_DEMO lets anybody sign in as anyone, and cannot be beside CSOR_IDENTITY_PROVIDERS: "
            "unset one of them."
        )


def registered(root: str) -> Provider:
    """Return the provider as the registry knows it; root: the URL that this server's pages are below."""
    rules = tuple(
        Rule(("role",), role, role, hospitals_claim=("ods",) if role in OF_HOSPITALS else ())
        for role in OF_PEOPLE
    )
    title = "Development sign-in (fictitious people)"
    return Provider(DEVELOPMENT, title, f"{root}{PATH}", _CLIENT, rules)


async def fetch(
    url: str, *, form: Mapping[str, str] | None = None, token: str | None = None
) -> Fetched:
    """Ask this machine over plain HTTP, as `jwks.Fetch` asks others by https."""
    try:
        return Fetched(await ask(url, form=form, token=token), 0)
    except FhirError as refusal:
        raise UnreachableError(f"its URL gives no answer that is good ({refusal.status})") from None


@dataclass(frozen=True, slots=True)
class _Code:
    """What a code is good for: once, to whoever knows the verifier, for as long as it lasts."""

    asked: Mapping[str, str]
    claims: Mapping[str, Any]
    until: datetime


class Development:
    """The provider itself; what it signs by is made when it starts, and known to nobody else."""

    def __init__(self, now: Callable[[], datetime], root: str) -> None:
        self.issuer = f"{root}{PATH}"
        self._redirect = f"{root}/sign-in/{DEVELOPMENT}/callback"
        self._now = now
        self._key = ECKey.generate_key("P-384", {"use": "sig", "alg": "ES384"}, auto_kid=True)
        self._codes: dict[str, _Code] = {}

    def configuration(self) -> dict[str, object]:
        """Return the discovery document."""
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "end_session_endpoint": f"{self.issuer}/end",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES384"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
            "scopes_supported": SCOPES.split(),
        }

    def jwks(self) -> dict[str, object]:
        """Return the public key."""
        return {"keys": [self._key.as_dict(private=False)]}

    def refuse(self, asked: Mapping[str, str]) -> None:
        """Raise FhirError 400 unless the registry asks, with all that makes it safe."""
        wanted = {
            "response_type": "code",
            "client_id": _CLIENT,
            "redirect_uri": self._redirect,
            "code_challenge_method": "S256",
        }
        wrong = [name for name, value in wanted.items() if asked.get(name) != value]
        wrong += [name for name in ("state", "nonce", "code_challenge") if not asked.get(name)]
        if wrong:
            raise _refused(f"This is no sign-in of the registry's: {', '.join(wrong)}.")

    def chosen(self, asked: Mapping[str, str], who: str, hospital: str) -> str:
        """Return where the browser goes once somebody is chosen; raises FhirError 400."""
        self.refuse(asked)
        person = PEOPLE.get(who)
        if person is None:
            raise _refused("Choose one of the people.")
        claims = {"sub": who, "name": person.name, "role": person.role}
        if person.role in OF_HOSPITALS:
            if not is_ods(hospital):
                raise _refused("Say of which hospital, by its ODS code (RTH, say).")
            claims |= {"ods": hospital, "name": f"{person.name} of {hospital}"}
            claims["sub"] = f"{who}-{hospital}"
        now, code = self._now(), secrets.token_urlsafe(32)
        self._codes = {key: each for key, each in self._codes.items() if now < each.until}
        while len(self._codes) >= _MOST:
            del self._codes[next(iter(self._codes))]
        self._codes[code] = _Code(asked, claims, now + _LIFE)
        answer = {"code": code, "state": asked["state"], "iss": self.issuer}
        return f"{self._redirect}?{urlencode(answer)}"

    def token(self, form: Mapping[str, str]) -> dict[str, object]:
        """Return the identity token of a code; raises FhirError 400 for a code that is not good."""
        code, now = self._codes.pop(form.get("code", ""), None), self._now()
        verifier = form.get("code_verifier", "")
        if (
            code is None
            or now >= code.until
            or form.get("redirect_uri") != self._redirect
            or not hmac.compare_digest(challenge(verifier), code.asked["code_challenge"])
        ):
            raise _refused("This code is not good here.")
        seconds = int(now.timestamp())
        claims = {
            "iss": self.issuer,
            "aud": _CLIENT,
            "iat": seconds,
            "exp": seconds + int(_LIFE.total_seconds()),
            "nonce": code.asked["nonce"],
            **code.claims,
        }
        token = jwt.encode({"alg": "ES384", "kid": self._key.kid}, claims, self._key, ["ES384"])
        return {
            "access_token": secrets.token_urlsafe(32),
            "token_type": "Bearer",
            "expires_in": int(_LIFE.total_seconds()),
            "id_token": token,
        }


def _refused(text: str) -> FhirError:
    return FhirError(400, [error("invalid", text)])
