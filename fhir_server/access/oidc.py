"""OpenID Connect, the relying party's side: from the choice of a provider to who has signed in.

Only registered providers are asked anything. The code is bound to this server by PKCE (S256), to the
browser by a cookie, and to one sign-in by `state` and `nonce`, each good for one use.
https://openid.net/specs/openid-connect-core-1_0.html#CodeFlowAuth, https://www.rfc-editor.org/rfc/rfc9700
"""

import asyncio
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode

from fhir_server.access import identity_token, people
from fhir_server.access.assertions import KIND
from fhir_server.access.back_channel import Logouts
from fhir_server.access.eprs import is_safe
from fhir_server.access.identity_token import Expected
from fhir_server.access.jwks import AGAIN, Fetch, UnreachableError
from fhir_server.access.oidc_providers import Provider
from fhir_server.access.pending import Pending, challenge
from fhir_server.access.people import Person
from fhir_server.access.sessions import Login
from r4.issue import FhirError, error

_CONFIGURATION = "/.well-known/openid-configuration"
_REMEMBERED = timedelta(minutes=5)
_HERE = re.compile(r"/(?![/\\])[!-\[\]-~]{0,8192}")
"""A place on this server: a path from its root, and no host; kept while somebody signs in."""


class Endpoints(NamedTuple):
    """Where a provider signs people in, gives tokens, publishes its keys, tells of people, signs out."""

    authorize: str
    token: str
    keys: str
    userinfo: str | None
    end: str | None
    names_itself: bool
    """Whether its answers say whose they are, by `iss` (RFC 9207)."""


@dataclass(frozen=True, slots=True)
class _SignIn:
    """A sign-in on its way: what its answer must fit, and where the browser is to go then."""

    provider: Provider
    endpoints: Endpoints
    then: str
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48), repr=False)


class SignedIn(NamedTuple):
    """Who has signed in, where the browser goes then, where it ends the sign-in, too, and which that is."""

    person: Person
    then: str
    leave: str | None
    login: Login


class NotSignedInError(FhirError):
    """A refusal of somebody whom a provider has told of; `who` is how the audit names them."""

    def __init__(self, refusal: FhirError, who: str) -> None:
        super().__init__(refusal.status, refusal.issues)
        self.who = who


class SignIns:
    """The sign-ins that are on their way; root: the URL that this server's pages are below."""

    def __init__(
        self,
        now: Callable[[], datetime],
        providers: Mapping[str, Provider],
        root: str,
        fetch: Fetch,
    ) -> None:
        self.providers = providers
        self._now, self._root, self._fetch = now, root, fetch
        self._pending: Pending[_SignIn] = Pending(now)
        self._configured: dict[str, tuple[datetime, Endpoints]] = {}
        self._logouts = Logouts(now)
        self._published: dict[str, tuple[datetime, Mapping[str, Any]]] = {}
        self._turn = asyncio.Lock()

    async def begin(self, name: str, browser: str | None, then: str) -> tuple[str, str]:
        """Return where the browser goes to sign in, and the value of its cookie from now on.

        then: the place here where it goes afterwards. Raises FhirError 404 for a provider that is not
        registered, 400 for a place elsewhere, 502 where the provider cannot be talked to.
        """
        provider = self._provider(name)
        if not _HERE.fullmatch(then):
            text = "After a sign-in the browser stays here: `next` is a path of this server."
            raise FhirError(400, [error("value", text, "http.next")])
        endpoints = await self._endpoints(provider)
        sign_in = _SignIn(provider, endpoints, then)
        state, browser = self._pending.add(sign_in, browser)
        asked = {
            "response_type": "code",
            "client_id": provider.client_id,
            "redirect_uri": self._redirect(provider),
            "scope": provider.scopes,
            "state": state,
            "nonce": sign_in.nonce,
            "code_challenge": challenge(sign_in.verifier),
            "code_challenge_method": "S256",
            **({"acr_values": " ".join(provider.acr)} if provider.acr else {}),
        }
        return _with(endpoints.authorize, asked), browser

    async def finish(self, name: str, asked: Mapping[str, str], browser: str | None) -> SignedIn:
        """Return who has signed in, by a callback's parameters.

        Raises FhirError 403 for a state that is unknown, used, too old, another browser's or another
        provider's, where the provider refused, and for whoever has no role; 502 where what the provider
        says does not hold.
        """
        sign_in = self._pending.take(asked.get("state", ""), browser)
        if sign_in is None or sign_in.provider.name != name:
            text = "This sign-in is not known, was used already, or took too long. Sign in again."
            raise FhirError(403, [error("expired", text, "http.state")])
        provider, endpoints = sign_in.provider, sign_in.endpoints
        said = asked.get("iss", None if endpoints.names_itself else provider.issuer)
        if said != provider.issuer:
            raise _wrong("The answer to the sign-in is another provider's. Sign in again.")
        if "code" not in asked:
            code = asked.get("error", "")[:40]
            reason = f" ({code})" if code.replace("_", "").isalpha() else ""
            text = f"{provider.title} did not sign you in{reason}. Sign in again."
            raise FhirError(403, [error("forbidden", text, "http.error")])
        token, claims = await self._claims(sign_in, asked["code"])
        try:
            found = people.person(provider.name, provider.rules, claims)
        except FhirError as refusal:
            raise NotSignedInError(refusal, people.name_of(provider.name, claims)) from None
        sid = claims.get("sid")
        login = Login(provider.name, found.subject, sid if isinstance(sid, str) else None)
        return SignedIn(found, sign_in.then, self._leave(sign_in, token), login)

    async def logged_out(self, name: str, token: str) -> Login:
        """Return which sign-ins have ended at a provider, by a logout token.

        Raises FhirError 404 for a provider that is not registered, 400 or 502 where the token does not
        hold.
        """
        provider = self._provider(name)
        keys = await self._keys(provider)
        expected = Expected(provider.issuer, provider.client_id, None, provider.title)
        claims = identity_token.claims(token, keys, expected, self._now())
        return self._logouts.read(name, claims)

    def _provider(self, name: str) -> Provider:
        if (found := self.providers.get(name)) is None:
            text = (
                "Nobody signs in here by this provider: /sign-in lists those that are registered."
            )
            raise FhirError(404, [error("not-found", text)])
        return found

    async def _keys(self, provider: Provider) -> Mapping[str, Any]:
        """Return a provider's keys, asked for once a minute at most: anybody may send a logout token."""
        async with self._turn:
            now, found = self._now(), self._published.get(provider.name)
            if found is None or found[0] + AGAIN <= now:
                self._published[provider.name] = (now, {})
                endpoints = await self._endpoints(provider)
                keys = await self._asked(provider, "keys", endpoints.keys)
                found = self._published[provider.name] = (now, keys)
        return found[1]

    async def _claims(self, sign_in: _SignIn, code: str) -> tuple[str, Mapping[str, Any]]:
        """Return the identity token that a code is good for, and what is claimed by it and beside it."""
        provider, endpoints = sign_in.provider, sign_in.endpoints
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect(provider),
            "code_verifier": sign_in.verifier,
            **self._proof(provider, endpoints),
        }
        answer = await self._asked(provider, "tokens", endpoints.token, form=form)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise _wrong(f"{provider.title} does not say who signed in: it gave no identity token.")
        keys = await self._asked(provider, "keys", endpoints.keys)
        expected = Expected(provider.issuer, provider.client_id, sign_in.nonce, provider.title)
        claims = identity_token.claims(token, keys, expected, self._now())
        if provider.acr and claims.get("acr") not in provider.acr:
            text = (
                f"{provider.title} did not sign you in by one of {', '.join(provider.acr)} (acr)."
            )
            refusal = FhirError(403, [error("forbidden", text)])
            raise NotSignedInError(refusal, people.name_of(provider.name, claims))
        if provider.userinfo:
            claims = {**await self._told(sign_in, answer.get("access_token"), claims), **claims}
        return token, claims

    async def _told(
        self, sign_in: _SignIn, access: object, claims: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Return what the UserInfo endpoint tells of the same person."""
        provider, place = sign_in.provider, sign_in.endpoints.userinfo
        if place is None or not isinstance(access, str):
            raise _wrong(f"{provider.title} has no UserInfo endpoint: take `userinfo` out.")
        told = await self._asked(provider, "UserInfo", place, token=access)
        if told.get("sub") != claims.get("sub"):
            raise _wrong(f"{provider.title} tells of another person than who signed in.")
        return told

    def _proof(self, provider: Provider, endpoints: Endpoints) -> dict[str, str]:
        """Return what proves to a provider's token endpoint who asks."""
        if provider.key is not None:
            made = identity_token.assertion(
                provider.key, provider.client_id, endpoints.token, self._now()
            )
            return {"client_assertion_type": KIND, "client_assertion": made}
        secret = {} if provider.secret is None else {"client_secret": provider.secret}
        return {"client_id": provider.client_id, **secret}

    def _leave(self, sign_in: _SignIn, token: str) -> str | None:
        """Return where the browser signs out of the provider, too.

        https://openid.net/specs/openid-connect-rpinitiated-1_0.html
        """
        if sign_in.endpoints.end is None:
            return None
        asked = {
            "id_token_hint": token,
            "client_id": sign_in.provider.client_id,
            "post_logout_redirect_uri": f"{self._root}/sign-in",
        }
        return _with(sign_in.endpoints.end, asked)

    def _redirect(self, provider: Provider) -> str:
        return f"{self._root}/sign-in/{provider.name}/callback"

    async def _endpoints(self, provider: Provider) -> Endpoints:
        """Return where a provider is asked, as it says itself; remembered for a while."""
        now, found = self._now(), self._configured.get(provider.name)
        if found is not None and now < found[0] + _REMEMBERED:
            return found[1]
        place = provider.issuer.rstrip("/") + _CONFIGURATION
        said = await self._asked(provider, "discovery document", place)
        if said.get("issuer") != provider.issuer:
            raise _wrong(
                f"{provider.title} says that its issuer is another than {provider.issuer}."
            )
        names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
        places = [str(said.get(name, "")) for name in names]
        further = [said.get(name) for name in ("userinfo_endpoint", "end_session_endpoint")]
        if not all(is_safe(each) for each in (*places, *(str(e) for e in further if e))):
            raise _wrong(f"{provider.title} does not name by https: {', '.join(names)}.")
        userinfo, end = (str(each) if each else None for each in further)
        named = said.get("authorization_response_iss_parameter_supported") is True
        authorize, token, keys = places
        endpoints = Endpoints(authorize, token, keys, userinfo, end, named)
        self._configured[provider.name] = (now, endpoints)
        return endpoints

    async def _asked(
        self,
        provider: Provider,
        what: str,
        url: str,
        *,
        form: Mapping[str, str] | None = None,
        token: str | None = None,
    ) -> Mapping[str, Any]:
        """Return the JSON object that a provider answers with; raises FhirError 502."""
        try:
            found = (await self._fetch(url, form=form, token=token)).content
        except UnreachableError as failure:
            text = f"{provider.title} cannot sign anybody in now ({what}: {failure}). Try again."
            raise FhirError(502, [error("transient", text)]) from None
        if not isinstance(found, dict):
            raise _wrong(f"{provider.title} answers with what is no JSON object ({what}).")
        return found


def _with(place: str, asked: Mapping[str, str]) -> str:
    return f"{place}{'&' if '?' in place else '?'}{urlencode(asked)}"


def _wrong(text: str) -> FhirError:
    return FhirError(502, [error("processing", text)])
