"""SMART App Launch 2, the app's side: from an EPR's launch to tokens that are known to be its own.

Only registered EPRs are asked anything. The code is bound to this server by PKCE (S256), to the browser
by a cookie, and to one launch by `state` and `nonce`, each good for one use within ten minutes.
https://hl7.org/fhir/smart-app-launch/app-launch.html
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode

from fhir_server.access import identity_token
from fhir_server.access.asking import Ask
from fhir_server.access.eprs import Epr, is_safe
from fhir_server.access.identity_token import Expected
from fhir_server.access.pending import Pending, challenge
from r4.issue import FhirError, error
from r4.reference import Literal, literal

_REMEMBERED = timedelta(minutes=5)
_SHORT = 300
"""Seconds that an access token is good for where its answer does not say."""
_CONFIGURATION = ".well-known/smart-configuration"
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class Endpoints(NamedTuple):
    """Where an EPR authorises, gives tokens and publishes its keys; `issuer` signs its identity tokens."""

    issuer: str
    authorize: str
    token: str
    keys: str


@dataclass(frozen=True, slots=True)
class _Launch:
    """A launch on its way: what its answer must fit."""

    epr: Epr
    endpoints: Endpoints
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48), repr=False)


@dataclass(slots=True)
class Grant:
    """What an EPR has granted: who launched on which child, with what open, and the tokens."""

    epr: Epr
    endpoints: Endpoints
    user: Literal
    patient: str
    encounter: str | None
    context: list[Mapping[str, Any]]
    scopes: frozenset[str]
    access: str = field(repr=False)
    refresh: str | None = field(repr=False)
    expires: datetime


class Launches:
    """The launches that are on their way, by their state; in memory, as sessions are."""

    def __init__(
        self, now: Callable[[], datetime], eprs: Mapping[str, Epr], redirect: str, ask: Ask
    ) -> None:
        self._now, self._eprs, self._redirect, self._ask = now, eprs, redirect, ask
        self._pending: Pending[_Launch] = Pending(now)
        self._configured: dict[str, tuple[datetime, Endpoints]] = {}

    async def begin(self, issuer: str, launch: str | None, browser: str | None) -> tuple[str, str]:
        """Return where the browser goes to be authorised, and the value of its cookie from now on.

        launch: the EPR's handle; None for a standalone launch, whose user picks the child. Raises
        FhirError 403 for an issuer that is not registered, 502 where it cannot be talked to.
        """
        epr = self._eprs.get(issuer.rstrip("/"))
        if epr is None:
            text = "This system is not registered here, so it cannot open the registry's pages."
            raise FhirError(403, [error("forbidden", text, "http.iss")])
        endpoints = await self._endpoints(epr)
        pending = _Launch(epr, endpoints)
        state, browser = self._pending.add(pending, browser)
        query = self._query(pending, state, launch)
        joint = "&" if "?" in endpoints.authorize else "?"
        return f"{endpoints.authorize}{joint}{query}", browser

    def _query(self, pending: _Launch, state: str, launch: str | None) -> str:
        how = {"launch": launch} if launch is not None else {}
        began = "launch" if launch is not None else "launch/patient"
        return urlencode(
            {
                "response_type": "code",
                "client_id": pending.epr.client_id,
                "redirect_uri": self._redirect,
                "scope": f"{began} {pending.epr.asked}",
                "state": state,
                "aud": pending.epr.issuer,
                "nonce": pending.nonce,
                "code_challenge": challenge(pending.verifier),
                "code_challenge_method": "S256",
                **how,
            }
        )

    async def finish(self, asked: Mapping[str, str], browser: str | None) -> Grant:
        """Return what was granted to the launch that a callback's parameters belong to.

        Raises FhirError 403 for a state that is unknown, used, too old or another browser's, and where
        the EPR refused; 502 where what it says does not hold.
        """
        pending = self._pending.take(asked.get("state", ""), browser)
        if pending is None:
            text = "This launch is not known, was used already, or took too long. Launch again."
            raise FhirError(403, [error("expired", text, "http.state")])
        if asked.get("iss", pending.epr.issuer) not in (
            pending.epr.issuer,
            pending.endpoints.issuer,
        ):
            raise _wrong("The answer to the launch is another system's.")
        if "code" not in asked:
            said = asked.get("error", "")[:40]
            reason = f" ({said})" if said.replace("_", "").isalpha() else ""
            text = f"The hospital's system did not let the note be opened{reason}."
            raise FhirError(403, [error("forbidden", text, "http.error")])
        answer = await self._tokens(
            pending.epr,
            pending.endpoints,
            {
                "grant_type": "authorization_code",
                "code": asked["code"],
                "redirect_uri": self._redirect,
                "code_verifier": pending.verifier,
            },
        )
        return await self._granted(pending, answer)

    async def refreshed(self, grant: Grant) -> None:
        """Give a grant new tokens; raises FhirError 403 where the EPR gave none to ask with, or 502."""
        if grant.refresh is None:
            text = "The hospital's system lets nothing be read or written any more: launch again."
            raise FhirError(403, [error("expired", text)])
        asked = {"grant_type": "refresh_token", "refresh_token": grant.refresh}
        answer = await self._tokens(grant.epr, grant.endpoints, asked)
        grant.access = _text(answer, "access_token") or ""
        grant.refresh = _text(answer, "refresh_token") or grant.refresh
        grant.expires = self._now() + _life(answer)

    async def _granted(self, pending: _Launch, answer: Mapping[str, Any]) -> Grant:
        access, token = _text(answer, "access_token"), _text(answer, "id_token")
        if access is None or token is None or str(answer.get("token_type")).lower() != "bearer":
            raise _wrong("The hospital's system gave no token, or did not say who the user is.")
        expected = Expected(pending.endpoints.issuer, pending.epr.client_id, pending.nonce)
        keys = await self._ask(pending.endpoints.keys)
        claims = identity_token.claims(token, keys, expected, self._now())
        patient = literal(f"Patient/{_text(answer, 'patient') or '?'}")
        if patient is None:
            text = (
                "The note was opened without a child. Open the child's record, and launch from it."
            )
            raise FhirError(422, [error("required", text)])
        encounter = (
            literal(f"Encounter/{answer.get('encounter')}") if "encounter" in answer else None
        )
        listed = answer.get("fhirContext")
        return Grant(
            epr=pending.epr,
            endpoints=pending.endpoints,
            user=_user(claims, pending.epr),
            patient=patient.id,
            encounter=encounter.id if encounter else None,
            context=[e for e in listed if isinstance(e, dict)] if isinstance(listed, list) else [],
            scopes=frozenset(str(answer.get("scope", "")).split()),
            access=access,
            refresh=_text(answer, "refresh_token"),
            expires=self._now() + _life(answer),
        )

    async def _tokens(
        self, epr: Epr, endpoints: Endpoints, asked: dict[str, str]
    ) -> Mapping[str, Any]:
        """Ask the token endpoint, as a public client or with an assertion by the registry's key."""
        if epr.key is None:
            form = {**asked, "client_id": epr.client_id}
        else:
            form = {
                **asked,
                "client_assertion_type": _ASSERTION,
                "client_assertion": identity_token.assertion(
                    epr.key, epr.client_id, endpoints.token, self._now()
                ),
            }
        return await self._ask(endpoints.token, form=form)

    async def _endpoints(self, epr: Epr) -> Endpoints:
        """Return where an EPR is asked, as it says itself; what it said is remembered for a while."""
        now, found = self._now(), self._configured.get(epr.issuer)
        if found is not None and now < found[0] + _REMEMBERED:
            return found[1]
        said = await self._ask(f"{epr.issuer}/{_CONFIGURATION}")
        if "S256" not in (said.get("code_challenge_methods_supported") or ()):
            raise _wrong("The hospital's system does not take PKCE with S256, as SMART 2 asks.")
        names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
        places = [_text(said, name) or "" for name in names]
        if not all(is_safe(place) for place in places):
            raise _wrong(f"The hospital's system does not name by https: {', '.join(names)}.")
        endpoints = Endpoints(_text(said, "issuer") or epr.issuer, *places)
        self._configured[epr.issuer] = (now, endpoints)
        return endpoints


def _user(claims: Mapping[str, Any], epr: Epr) -> Literal:
    """Return who launched; raises FhirError 403 for whoever is no practitioner of that EPR."""
    said = claims.get("fhirUser") or claims.get("profile") or ""
    place = literal(str(said).removeprefix(f"{epr.issuer}/"))
    if place is None or place.base or place.type not in ("Practitioner", "PractitionerRole"):
        text = "The hospital's system does not say which practitioner opened the note."
        raise FhirError(403, [error("forbidden", text)])
    return place


def _life(answer: Mapping[str, Any]) -> timedelta:
    said = answer.get("expires_in")
    return timedelta(
        seconds=int(said) if isinstance(said, int | str) and str(said).isdecimal() else _SHORT
    )


def _text(answer: Mapping[str, Any], name: str) -> str | None:
    found = answer.get(name)
    return found if isinstance(found, str) and found else None


def _wrong(text: str) -> FhirError:
    return FhirError(502, [error("processing", text)])
