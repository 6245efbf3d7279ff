"""A fictitious EPR: a FHIR server that launches apps by SMART App Launch 2, strict about what it is sent.

It signs its user in without asking. `faults` makes it misbehave, one thing at a time; `tests/clients`
has npm's fhirclient run against it, which proves that it is a fair SMART server.
https://hl7.org/fhir/smart-app-launch/app-launch.html
"""

import hashlib
import json
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from tests.support.epr_chart import HOSPITAL, Chart, chart
from tests.support.serving import served

CLIENT = "csor"
_KINDS = ("Condition", "Procedure", "Observation", "ServiceRequest", "Encounter")


@cache
def _key() -> RSAKey:
    return RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, auto_kid=True)


class _RefusedError(Exception):
    """An OAuth error: its code, and the status."""

    def __init__(self, code: str, status: int = 400, text: str = "") -> None:
        self.code, self.status, self.text = code, status, text


@dataclass
class Grant:
    """What an authorisation gives: to whom, about which child, and what for."""

    scope: str
    patient: str | None
    encounter: str | None
    context: list[dict[str, Any]]
    redirect: str = ""
    challenge: str = ""
    nonce: str | None = None
    user: str = "Practitioner/surgeon"


@dataclass
class Epr:
    """The stub: where it is, its chart, who may be launched, and what it has been asked and given."""

    base_url: str = ""
    chart: Chart = field(default_factory=lambda: chart(datetime.now(UTC)))
    redirects: set[str] = field(default_factory=set)
    client_key: ECKey | None = None
    faults: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    written: list[dict[str, Any]] = field(default_factory=list)
    launches: dict[str, Grant] = field(default_factory=dict)
    codes: dict[str, Grant] = field(default_factory=dict)
    tokens: dict[str, Grant] = field(default_factory=dict)
    refreshing: dict[str, Grant] = field(default_factory=dict)

    @property
    def issuer(self) -> str:
        """The base of its FHIR server, which launches name as `iss`."""
        return f"{self.base_url}/fhir"

    def launch(
        self,
        registry: str,
        patient: str | None = "child",
        encounter: str | None = "stay",
        context: list[dict[str, Any]] | None = None,
        user: str = "Practitioner/surgeon",
    ) -> str:
        """Return the URL that the EPR opens to launch the registry's page with a child's chart open."""
        if context is None:
            context = [{"reference": "ServiceRequest/order"}]
        opened = secrets.token_urlsafe(8)
        self.launches[opened] = Grant("", patient, encounter, context, user=user)
        return f"{registry}/launch?{urlencode({'iss': self.issuer, 'launch': opened})}"

    def configuration(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "jwks_uri": f"{self.base_url}/jwks",
            "authorization_endpoint": f"{self.base_url}/authorize",
            "token_endpoint": f"{self.base_url}/token",
            "token_endpoint_auth_methods_supported": ["private_key_jwt"],
            "grant_types_supported": ["authorization_code"],
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
            "capabilities": [
                "launch-ehr", "launch-standalone", "client-public", "sso-openid-connect",
                "client-confidential-asymmetric", "context-ehr-patient", "context-ehr-encounter",
                "permission-patient", "permission-v2",
            ],
        } | self.faults.get("configuration", {})  # fmt: skip

    def authorize(self, asked: dict[str, str]) -> str:
        """Return where the browser goes on to, with a code; whoever is not registered is told so here."""
        redirect = asked.get("redirect_uri", "")
        if asked.get("client_id") != CLIENT or redirect not in self.redirects:
            raise _RefusedError(
                "invalid_client", text="client_id or redirect_uri is not registered"
            )
        answer = {"state": asked.get("state", "")}
        try:
            answer["code"] = self._code(asked, redirect)
        except _RefusedError as refusal:
            answer["error"] = refusal.code
        return f"{redirect}?{urlencode(answer)}"

    def _code(self, asked: dict[str, str], redirect: str) -> str:
        if fault := self.faults.get("authorize"):
            raise _RefusedError(fault)
        scope, opened = asked.get("scope", "").split(), asked.get("launch")
        if asked.get("response_type") != "code" or not asked.get("state"):
            raise _RefusedError("invalid_request")
        if asked.get("code_challenge_method") != "S256" or not asked.get("code_challenge"):
            raise _RefusedError("invalid_request")
        if asked.get("aud", "").rstrip("/") != self.issuer:
            raise _RefusedError("invalid_request")
        if opened is None:
            if "launch/patient" not in scope:
                raise _RefusedError("invalid_scope")
            found: Grant | None = Grant("", "child", None, [])  # its user picks the child
        else:
            found = self.launches.pop(opened, None) if "launch" in scope else None
        if found is None:
            raise _RefusedError("invalid_request")
        withheld = self.faults.get("withheld")
        found.scope, found.redirect = " ".join(s for s in scope if s != withheld), redirect
        found.challenge, found.nonce = asked["code_challenge"], asked.get("nonce")
        code = secrets.token_urlsafe(16)
        self.codes[code] = found
        return code

    def token(self, asked: dict[str, str]) -> dict[str, Any]:
        """Return the answer of the token endpoint."""
        if fault := self.faults.get("token"):
            raise _RefusedError("server_error", fault)
        self._authenticate(asked)
        if asked.get("grant_type") == "refresh_token":
            grant = self.refreshing.pop(asked.get("refresh_token", ""), None)
        else:
            grant = self._exchanged(asked)
        if grant is None:
            raise _RefusedError("invalid_grant")
        access, refresh = secrets.token_urlsafe(16), secrets.token_urlsafe(16)
        self.tokens[access] = grant
        answer: dict[str, Any] = {
            "access_token": access,
            "token_type": "Bearer",
            "expires_in": self.faults.get("life", 300),
            "scope": grant.scope,
        }
        if {"online_access", "offline_access"} & set(grant.scope.split()):
            answer["refresh_token"] = refresh
            self.refreshing[refresh] = grant
        if "openid" in grant.scope.split():
            answer["id_token"] = self._id_token(grant)
        if grant.patient:
            answer["patient"] = grant.patient
        if grant.encounter:
            answer["encounter"] = grant.encounter
        return answer | ({"fhirContext": grant.context} if grant.context else {})

    def _authenticate(self, asked: dict[str, str]) -> None:
        """Refuse a client that is not who it says: registered with a key, it proves that it has it.

        A public client that refreshes need not say who it is: SMART asks it for the token alone.
        """
        if self.client_key is None:
            is_refresh = asked.get("grant_type") == "refresh_token"
            if asked.get("client_id", CLIENT if is_refresh else None) != CLIENT:
                raise _RefusedError("invalid_client", 401)
            return
        try:
            found = jwt.decode(
                asked["client_assertion"], self.client_key, ["ES384", "RS384"]
            ).claims
        except Exception:
            raise _RefusedError("invalid_client", 401) from None
        wanted = {"iss": CLIENT, "sub": CLIENT, "aud": f"{self.base_url}/token"}
        if {name: found.get(name) for name in wanted} != wanted or "jti" not in found:
            raise _RefusedError("invalid_client", 401)
        if not 0 < found["exp"] - time.time() <= 300:
            raise _RefusedError("invalid_client", 401)

    def _exchanged(self, asked: dict[str, str]) -> Grant | None:
        """Return what a code was given for: once, to whoever knows the verifier of its challenge."""
        if asked.get("grant_type") != "authorization_code":
            raise _RefusedError("unsupported_grant_type")
        grant = self.codes.pop(asked.get("code", ""), None)
        digest = hashlib.sha256(asked.get("code_verifier", "").encode()).digest()
        challenge = urlsafe_b64encode(digest).rstrip(b"=").decode()
        if grant is None or grant.redirect != asked.get("redirect_uri"):
            return None
        return grant if challenge == grant.challenge else None

    def _id_token(self, grant: Grant) -> str:
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "sub": "surgeon",
            "aud": CLIENT,
            "iat": now,
            "exp": now + 300,
            "fhirUser": f"{self.issuer}/{grant.user}",
            **({"nonce": grant.nonce} if grant.nonce else {}),
            **self.faults.get("claims", {}),
        }
        header = {"alg": "RS256", "kid": _key().kid}
        if self.faults.get("id_token") == "none":
            parts = ({"alg": "none"}, claims)
            encoded = [urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=") for p in parts]
            return b".".join([*encoded, b""]).decode()
        key = RSAKey.generate_key(2048) if self.faults.get("id_token") == "forged" else _key()
        return jwt.encode(header, claims, key)

    def found(self, path: str, query: dict[str, str], grant: Grant) -> Any:
        """Answer a read or search of its FHIR server, within the child and the scopes of a grant."""
        kind, _, key = path.partition("/")
        mode, child = ("r" if key else "s"), f"Patient/{grant.patient}"
        if kind in self.faults.get("unreadable", ()) or not _is_granted(grant, kind, mode):
            raise _RefusedError("forbidden", 403)
        if key:
            resource = self.chart.get(path)
            of = (resource or {}).get("subject", {}).get("reference", child)
            if resource is None or of != child or (kind == "Patient" and path != child):
                raise _RefusedError("not-found", 404)
            return resource
        if kind not in _KINDS or query.get("patient", "").rpartition("/")[2] != grant.patient:
            raise _RefusedError("not-supported", 400)
        matches = [
            each
            for each in self.chart.values()
            if each["resourceType"] == kind and each["subject"]["reference"] == child
        ]
        if codes := query.get("code", "").split(",") if "code" in query else None:
            matches = [each for each in matches if _coded(each) & set(codes)]
        entries = [{"fullUrl": f"{self.issuer}/{kind}/{e['id']}", "resource": e} for e in matches]
        return {"resourceType": "Bundle", "type": "searchset", "entry": entries}

    def write(self, path: str, resource: dict[str, Any], grant: Grant) -> dict[str, Any]:
        """Store a DocumentReference, if the scopes allow it."""
        statuses = self.faults.get("write", [])
        if statuses and (status := statuses.pop(0)) != 201:
            raise _RefusedError("exception", status)
        if path != "DocumentReference" or not _is_granted(grant, path, "c"):
            raise _RefusedError("forbidden", 403)
        self.written.append(resource)
        return {**resource, "id": str(len(self.written))}


def registered(epr: Epr, file: Path, *, write_back: bool = True) -> Path:
    """Write the registry's file of EPRs (CSOR_EPR_SERVERS) with this one in it.

    Where the registry is served is told to the EPR once it is known: `redirects`.
    """
    file.write_text(
        f'[[epr]]\nname = "stub"\nissuer = "{epr.issuer}"\nclient_id = "{CLIENT}"\n'
        f'hospital = "{HOSPITAL}"\nwrite_back = {str(write_back).lower()}\n'
    )
    return file


def _is_granted(grant: Grant, kind: str, mode: str) -> bool:
    scopes = [scope.partition("?")[0].split("/") for scope in grant.scope.split()]
    if f"{kind}/" in grant.user + "/" and "fhirUser" in grant.scope.split():
        return True
    granted = [one[1].split(".") for one in scopes if one[0] in ("patient", "user") and one[1:]]
    return any(of in (kind, "*") and mode in modes for of, modes in granted)


def _coded(resource: dict[str, Any]) -> set[str]:
    listed = resource["code"].get("coding", [])
    return {f"{c['system']}|{c['code']}" for c in listed} | {c["code"] for c in listed}


@contextmanager
def opened(epr: Epr | None = None) -> Iterator[Epr]:
    """Serve an EPR on a port of its own until left."""
    made = epr or Epr()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _door(made))
    made.base_url = f"http://127.0.0.1:{server.server_port}"
    with served(server):
        yield made


def _door(epr: Epr) -> type[BaseHTTPRequestHandler]:
    return type("Door", (_Door,), {"epr": epr})


class _Door(BaseHTTPRequestHandler):
    epr: Epr

    def do_GET(self) -> None:
        self.answered(b"")

    def do_POST(self) -> None:
        self.answered(self.rfile.read(int(self.headers["Content-Length"])))

    def answered(self, body: bytes) -> None:
        parts = urlsplit(self.path)
        self.epr.asked.append(f"{self.command} {self.path}")
        form = dict(parse_qsl(parts.query or body.decode(), keep_blank_values=True))
        try:
            self.routed(parts.path, form, body)
        except _RefusedError as refusal:
            self.said(refusal.status, {"error": refusal.code, "text": refusal.text})

    def routed(self, path: str, form: dict[str, str], body: bytes) -> None:
        if path == "/authorize":
            self.said(302, None, {"Location": self.epr.authorize(form)})
        elif path == "/token":
            self.said(200, self.epr.token(dict(parse_qsl(body.decode()))))
        elif path == "/jwks":
            self.said(200, {"keys": [_key().as_dict(private=False)]})
        elif path == "/fhir/.well-known/smart-configuration":
            self.said(200, self.epr.configuration())
        else:
            self.fhir(path.removeprefix("/fhir/"), form, body)

    def fhir(self, path: str, query: dict[str, str], body: bytes) -> None:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if (grant := self.epr.tokens.get(token)) is None:
            raise _RefusedError("login", 401)
        if self.command == "POST":
            made = self.epr.write(path, json.loads(body), grant)
            place = f"{self.epr.issuer}/{quote(path)}/{made['id']}"
            self.said(201, made, {"Location": place})
        else:
            self.said(200, self.epr.found(path, query, grant))

    def said(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        content = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""
