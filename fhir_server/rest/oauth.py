"""The token endpoint of SMART, for systems and for apps, with introspection and revocation.

https://hl7.org/fhir/smart-app-launch/backend-services.html,
https://hl7.org/fhir/smart-app-launch/app-launch.html#obtain-access-token, RFC 7662, RFC 7009
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fhir_server.access import (
    REGISTRY,
    STRANGER,
    Callers,
    bearer,
    principal_of,
    scopes,
    token_hash,
)
from fhir_server.access.assertions import KIND, WINDOW, Assertions, OAuthError
from fhir_server.access.clients import Client
from fhir_server.access.grants import Grant, Grants, SpentError
from fhir_server.access.id_tokens import id_token
from fhir_server.access.jwks import Fetch, KeySets
from fhir_server.access.rates import Rates, ThrottledError
from fhir_server.access.roles import APP
from fhir_server.access.sessions import Login
from fhir_server.access.tokens import APP_LIFE, LIFE, Tokens
from fhir_server.context import Context, Principal
from fhir_server.interactions.smart_configuration import endpoints
from fhir_server.rest import limits
from fhir_server.rest.cors import cors
from fhir_server.rest.errors import logger
from fhir_server.rest.form import form
from fhir_server.rest.request import request as plain
from fhir_server.store.audit_row import NOBODY, Agent
from fhir_server.store.failure import place
from r4.issue import FhirError
from r4.json import encode

_SECRET = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_GRANT = "client_credentials"
_RATED = "token"
"""The door at which clients that prove who they are have a measure of their own."""

Form = Mapping[str, str]
Answers = Callable[[Request, Form], Awaitable[tuple[str, Mapping[str, object] | None]]]
"""Answers a form: returns who asked, for the audit, and what is answered, which may be nothing."""


class Giving(NamedTuple):
    """What is given: access tokens, and what people have granted to apps."""

    tokens: Tokens
    grants: Grants

    def log_out(self, ended: Login) -> None:
        """End what apps were given by whose sign-in has ended at its provider."""
        self.tokens.log_out(ended)
        self.grants.log_out(ended)


class Door:
    """Gives tokens to clients that prove who they are, tells whose a token is, and ends it."""

    def __init__(
        self, made: Context, callers: Callers, giving: Giving, fetch: Fetch, rates: Rates
    ) -> None:
        self.context, self.callers, self.rates = made, callers, rates
        self.tokens, self.grants = giving
        self._cors = cors(made.settings.cors_origins)
        audience = endpoints(made)["token"]
        keys = KeySets(fetch, made.now)
        self.assertions = Assertions(callers.registered, keys, audience, made.now)

    def routes(self) -> list[BaseRoute]:
        """Return the routes of tokens, each of which takes a form by POST."""
        answered = {"token": self.token, "introspect": self.introspect, "revoke": self.revoke}
        return [
            Route(f"/{name}", self._answering(name, answer), methods=["POST"])
            for name, answer in answered.items()
        ]

    async def token(self, request: Request, form: Form) -> tuple[str, Mapping[str, object]]:
        """POST /token: give a system a token for an assertion, an app one for what a person has granted."""
        grant_type = form.get("grant_type")
        if grant_type in ("authorization_code", "refresh_token"):
            return await self._for_app(request, form)
        if grant_type != _GRANT:
            text = f"The grant_type is {_GRANT}, or authorization_code or refresh_token for an app."
            raise OAuthError("unsupported_grant_type", text)
        client = await self._client(request, form)
        if client.is_app:
            text = "An app acts for people alone: it begins at the authorization_endpoint."
            raise OAuthError("unauthorized_client", text, client.name)
        try:
            given = scopes.granted(client.scopes or (), form.get("scope", ""))
        except ValueError as wrong:
            raise OAuthError("invalid_scope", str(wrong), client.name) from None
        return client.name, {
            "access_token": self.tokens.issue(client, given),
            "token_type": "bearer",
            "expires_in": int(LIFE.total_seconds()),
            "scope": " ".join(given),
        }

    async def _for_app(self, request: Request, form: Form) -> tuple[str, Mapping[str, object]]:
        """Return what an app gets for a code, or for a refresh token with as many scopes or fewer."""
        client = await self._app(request, form)
        try:
            if form["grant_type"] == "refresh_token":
                grant = self.grants.refreshed(form.get("refresh_token", ""), client)
                wanted = form.get("scope", " ".join(grant.scopes)).split()
                given = tuple(each for each in grant.scopes if each in wanted)
            else:
                named = [form.get(each, "") for each in ("code", "redirect_uri", "code_verifier")]
                grant = self.grants.redeemed(named[0], client, named[1], named[2])
                wanted, given = list(grant.scopes), grant.scopes
        except SpentError as spent:
            raise OAuthError("invalid_grant", str(spent), client.name) from None
        if len(given) < len(set(wanted)) or not given:
            text = f"More is asked for than was granted: {' '.join(grant.scopes)}."
            raise OAuthError("invalid_scope", text, client.name)
        return grant.principal(given).name, self._granted(grant, given)

    def _granted(self, grant: Grant, given: tuple[str, ...]) -> Mapping[str, object]:
        """Return the answer that gives an app its tokens."""
        told: dict[str, object] = {
            "access_token": self.tokens.issue(grant.client, given, grant),
            "token_type": "Bearer",
            "expires_in": int(APP_LIFE.total_seconds()),
            "scope": " ".join(given),
        }
        if grant.patient is not None:
            told["patient"] = grant.patient
        if grant.is_offline:
            told["refresh_token"] = self.grants.refresh(grant)
        if "openid" in given:
            issuer = self.context.base_url.removesuffix("/fhir")
            told["id_token"] = id_token(grant, issuer, self.context.now(), self.context.seal)
        return told

    async def _app(self, request: Request, form: Form) -> Client:
        """Return which app asks: by its key, or by its name alone where it has none.

        One that refreshes need not even say its name: SMART asks it for the token alone.
        """
        if "client_assertion" in form:
            found = await self._client(request, form)
        else:
            name = form.get("client_id", "")
            if "client_id" not in form and "refresh_token" in form:
                grant = self.grants.of(token_hash(form["refresh_token"]))
                name = grant.client.name if grant is not None else ""
            named = self.callers.registered.known.get(name)
            if named is None or named.revoked or not named.is_app:
                text = "No app with this client_id is registered here."
                raise OAuthError("invalid_client", text)
            if named.has_keys:
                text = f"Send a client_assertion, with the client_assertion_type {KIND}."
                raise OAuthError("invalid_client", text, named.name)
            found = named
        if not found.is_app:
            text = "A system acts for itself, by the grant_type client_credentials."
            raise OAuthError("unauthorized_client", text, found.name)
        return found

    async def introspect(self, request: Request, form: Form) -> tuple[str, Mapping[str, object]]:
        """POST /introspect: tell a client of its own token, and the registry of anybody's."""
        caller = await self._caller(request, form)
        digest = _hash(form, caller)
        found = self.tokens.of(digest)
        client = found.client if found else self._holder(digest)
        is_registered = client is not None and self._registered(client)
        if client is None or not is_registered or not _is_told(caller, client):
            return caller.name, {"active": False}
        given = client.scopes if found is None else found.scopes
        told: dict[str, object] = {
            "active": True,
            "client_id": client.name,
            "sub": client.name,
            "token_type": "bearer",
        }
        if given is not None:
            told["scope"] = " ".join(given)
        if found is not None:
            told |= {"iat": _seconds(found.issued), "exp": _seconds(found.expires)}
            told |= _of_grant(found.grant, self.context.base_url)
        return caller.name, told

    async def revoke(self, request: Request, form: Form) -> tuple[str, None]:
        """POST /revoke: end a token; nothing where there is none, as RFC 7009 has it."""
        caller = await self._caller(request, form)
        digest = _hash(form, caller)
        found = self.tokens.of(digest)
        if found is None and (grant := self.grants.of(digest)) is not None:
            if _is_told(caller, grant.client):
                grant.ended = True
            return caller.name, None
        client = found.client if found else self._holder(digest)
        if client is not None and not _is_told(caller, client):
            text = "This token is another client's."
            raise OAuthError("unauthorized_client", text, caller.name)
        if client is not None and found is None:
            text = "A token that the operator has registered ends by `client revoke` or `rotate`."
            raise OAuthError("unsupported_token_type", text, caller.name)
        self.tokens.end(digest)
        return caller.name, None

    async def _client(self, request: Request, form: Form) -> Client:
        """Return who has signed the assertion of a form; raises OAuthError."""
        if form.get("client_assertion_type") != KIND or "client_assertion" not in form:
            text = f"Send a client_assertion with the client_assertion_type {KIND}."
            raise OAuthError("invalid_client", text)
        address = request.client.host if request.client else ""
        found = await self.assertions.client(form["client_assertion"], address)
        if form.get("client_id", found.name) != found.name:
            text = "The client_id is another one than the iss of the assertion."
            raise OAuthError("invalid_client", text, found.name)
        self.rates.ask(principal_of(found), _RATED)
        return found

    async def _caller(self, request: Request, form: Form) -> Principal:
        """Return who asks about a token: by an assertion, a bearer token, or on this machine.

        An app without a key is told of by its name alone: it has the token that it asks about.
        """
        headers = dict(request.scope["headers"])
        if "client_assertion" in form:
            return principal_of(await self._client(request, form))
        if "client_id" in form and b"authorization" not in headers:
            return principal_of(await self._app(request, form))
        host = request.client.host if request.client else None
        try:
            found = self.callers.identify(host, headers, "POST")
        except FhirError as refusal:
            text = "Send the bearer token of a client, or a client_assertion."
            raise OAuthError("invalid_client", text, status=refusal.status) from None
        if found.patient is not None:
            raise OAuthError("invalid_client", "A session has no tokens.", status=403)
        self.rates.ask(found, _RATED)
        if APP in found.roles:
            held = self.tokens.of(bearer(headers[b"authorization"].decode("latin-1")))
            found = principal_of(held.client) if held is not None else STRANGER
        return found

    def _holder(self, digest: str) -> Client | None:
        """Return the client that the operator has registered with a token, or None."""
        known = self.callers.registered.known.values()
        return next((each for each in known if digest in each.tokens), None)

    def _registered(self, client: Client) -> bool:
        """Tell whether a client is registered still as it was when its token was given."""
        return self.callers.registered.known.get(client.name) == client and not client.revoked

    def _answering(self, name: str, answer: Answers) -> Callable[[Request], Awaitable[Response]]:
        """Return what answers one route: JSON, never to be kept; who asked is recorded, refusals too."""

        async def answered(request: Request) -> Response:
            try:
                who, told = await answer(request, await _form(request))
            except OAuthError as refusal:
                return self._refused(name, refusal)
            except ThrottledError as refusal:  # a flood must not fill the audit
                said = limits.oauth(refusal)
                headers = {**_SECRET, **said.headers}
                return Response(said.content, said.status, headers, said.media_type)
            except Exception as unforeseen:
                logger.error("500 %s %s", name, place(unforeseen))
                text = "The server failed; it has been logged."
                return self._refused(name, OAuthError("server_error", text, status=500))
            self.context.audit.record(Agent(who), name, status=200)
            content = b"" if told is None else encode(told)
            return Response(content, 200, _SECRET, None if told is None else "application/json")

        async def answering(request: Request) -> Response:
            found = await answered(request)
            found.headers.update(self._cors.headers(plain(request.scope)))
            return found

        return answering

    def _refused(self, name: str, refusal: OAuthError) -> Response:
        who = Agent(refusal.client) if refusal.client else NOBODY
        self.context.audit.record(who, name, status=refusal.status)
        said = _ascii(refusal.description)
        logger.warning("%s refused to %s: %s", name, refusal.client or "unknown", said)
        headers = dict(_SECRET)
        if refusal.status == 429:  # noqa: PLR2004
            headers["Retry-After"] = str(int(WINDOW.total_seconds()))
        if refusal.status == 401:  # noqa: PLR2004
            headers["WWW-Authenticate"] = "Bearer"
        body = encode({"error": refusal.error, "error_description": said})
        return Response(body, refusal.status, headers, "application/json")


async def _form(request: Request) -> Form:
    """Read a form; raises OAuthError `invalid_request` for another body, a large one, or twins."""
    try:
        pairs = await form(request)
    except FhirError as wrong:
        text = wrong.issues[0].diagnostics
        raise OAuthError("invalid_request", text, status=wrong.status) from None
    if len(dict(pairs)) < len(pairs):
        raise OAuthError("invalid_request", "A parameter of the form is there twice.")
    return dict(pairs)


def _hash(form: Form, caller: Principal) -> str:
    if not form.get("token"):
        raise OAuthError("invalid_request", "The form has no token.", caller.name)
    return token_hash(form["token"])


def _is_told(caller: Principal, client: Client) -> bool:
    """Tell whether a caller may know of a client's tokens: its own, or the registry's system any."""
    is_registry = REGISTRY in caller.roles and caller.scopes is None
    return is_registry or caller.name == client.name


def _of_grant(grant: Grant | None, base_url: str) -> dict[str, object]:
    """Return what is told of whom an app acts for, and of the child that was chosen."""
    if grant is None:
        return {}
    told: dict[str, object] = {
        "sub": grant.subject,
        "iss": base_url.removesuffix("/fhir"),
        "aud": base_url,
        "fhirUser": grant.user,
        "patient": grant.patient,
    }
    return {name: value for name, value in told.items() if value is not None}


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def _ascii(text: str) -> str:
    """Write a description with the characters that RFC 6749 lets it have."""
    plain = text.replace('"', "'").replace("\\", "/")
    return "".join(each if " " <= each <= "~" else "?" for each in plain)
