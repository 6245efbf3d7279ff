"""What an app asks a person for, at the authorization endpoint: read strictly, and where refusals go.

https://hl7.org/fhir/smart-app-launch/app-launch.html#obtain-authorization-code, RFC 6749, RFC 7636,
https://www.rfc-editor.org/rfc/rfc9207
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from fhir_server.access import app_scopes
from fhir_server.access.clients import Client
from r4.issue import FhirError, error

PARAMETERS = (
    "response_type", "client_id", "redirect_uri", "scope", "state", "aud", "launch", "nonce",
    "code_challenge", "code_challenge_method",
)  # fmt: skip
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_LONGEST = 2048


@dataclass(frozen=True, slots=True)
class Asked:
    """What an app asks for; parameters: as they were sent, to be asked with once more.

    launch: the value that it was opened with here; None where it begins by itself.
    """

    client: Client
    redirect: str
    state: str
    scopes: tuple[str, ...]
    challenge: str
    nonce: str | None
    launch: str | None
    parameters: Mapping[str, str]

    @property
    def is_of_patient(self) -> bool:
        """Whether it is to be told of a child, and sees nobody else."""
        return app_scopes.is_of_patient(self.scopes)


class SentBackError(Exception):
    """A refusal that the app is told of: error, description and where the browser goes. client: whose."""

    def __init__(self, place: str, client: str, description: str) -> None:
        super().__init__(description)
        self.place, self.client = place, client


def asked(
    pairs: Sequence[tuple[str, str]], registered: Mapping[str, Client], base_url: str
) -> Asked:
    """Read what an app asks for; base_url: of the FHIR endpoint, which `aud` must be.

    Raises FhirError 400 where it is not known where the browser may be sent back to, else SentBackError.
    """
    sent = [(name, value) for name, value in pairs if name in PARAMETERS]
    said = dict(sent)
    client, redirect = registered.get(said.get("client_id", "")), said.get("redirect_uri", "")
    if client is None or client.revoked or not client.is_app:
        raise _unknown("No app with this client_id is registered here.", "client_id")
    if redirect not in client.redirect_uris:
        text = (
            f"{client.name} may not send you there: the redirect_uri is none of those that are "
            "registered for it, letter by letter."
        )
        raise _unknown(text, "redirect_uri")
    try:
        return _read(client, said, is_plain=len(said) == len(sent), base_url=base_url)
    except _WrongError as wrong:
        root = base_url.removesuffix("/fhir")
        raise back(client.name, redirect, said.get("state"), root, wrong) from None


class _WrongError(Exception):
    """An error as OAuth writes it."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(description)
        self.code = code


def _read(client: Client, said: Mapping[str, str], *, is_plain: bool, base_url: str) -> Asked:
    problems = (
        (not is_plain, "A parameter is there twice."),
        (any(len(each) > _LONGEST for each in said.values()), "A parameter is too long."),
        (not said.get("state"), "state is missing, by which the app knows its own request."),
        (
            said.get("code_challenge_method") != "S256"
            or not _CHALLENGE.fullmatch(said.get("code_challenge", "")),
            "PKCE is needed: code_challenge_method is S256, with a code_challenge of 43 characters.",
        ),
        (
            said.get("aud", "").removesuffix("/") != base_url,
            f"aud is the FHIR endpoint whose data the app is to see: {base_url}",
        ),
    )
    for is_wrong, text in problems:
        if is_wrong:
            raise _WrongError("invalid_request", text)
    if said.get("response_type") != "code":
        raise _WrongError("unsupported_response_type", "The response_type is code.")
    try:
        scopes = app_scopes.granted(client.scopes or (), said.get("scope", ""))
    except ValueError as wrong:
        raise _WrongError("invalid_scope", str(wrong)) from None
    if not app_scopes.of_resources(scopes):
        text = f"Nothing of this is granted: this app may ask for {' '.join(client.scopes or ())}."
        raise _WrongError("invalid_scope", text)
    _refuse_half_launch(said, scopes)
    return Asked(
        client,
        said["redirect_uri"],
        said["state"],
        scopes,
        said["code_challenge"],
        said.get("nonce"),
        said.get("launch"),
        said,
    )


def _refuse_half_launch(said: Mapping[str, str], scopes: Sequence[str]) -> None:
    """Raise _WrongError unless the parameter and the scope of a launch are both there, or neither."""
    if "launch" in said and "launch" not in scopes:
        text = "launch is for the scope launch, which is not asked for, or not registered."
        raise _WrongError("invalid_scope", text)
    if "launch" in scopes and not said.get("launch"):
        text = "The scope launch is for an app that was opened here: launch is missing."
        raise _WrongError("invalid_request", text)


def denied(asked: Asked, root: str, text: str) -> SentBackError:
    """Return the refusal that a person, or the person's role, does not let an app in."""
    wrong = _WrongError("access_denied", text)
    return back(asked.client.name, asked.redirect, asked.state, root, wrong)


def not_launched(asked: Asked, root: str) -> SentBackError:
    """Return the refusal of a launch, the same whatever is wrong with it."""
    text = (
        "This launch is not known, was used, is older than five minutes, or is of another session, app "
        "or child than the user may see: open the app again from the registry."
    )
    wrong = _WrongError("invalid_request", text)
    return back(asked.client.name, asked.redirect, asked.state, root, wrong)


def back(
    client: str, redirect: str, state: str | None, root: str, wrong: _WrongError
) -> SentBackError:
    """Return a refusal that the app is told of; root: the issuer, by which it knows whose answer it is."""
    said = {"error": wrong.code, "error_description": str(wrong), "iss": root}
    place = with_query(redirect, {**said, **({"state": state} if state else {})})
    return SentBackError(place, client, str(wrong))


def with_query(place: str, said: Mapping[str, str]) -> str:
    """Return a URL with further parameters."""
    return f"{place}{'&' if '?' in place else '?'}{urlencode(said)}"


def _unknown(text: str, name: str) -> FhirError:
    return FhirError(400, [error("invalid", text, f"http.{name}")])
