"""The identity providers by which people sign in: a TOML file of `[[provider]]` tables.

https://openid.net/specs/openid-connect-registration-1_0.html#ClientMetadata
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from joserfc.errors import JoseError

from fhir_server.access.eprs import Key, is_safe, private_key
from fhir_server.access.people import Rule
from fhir_server.access.private import refuse_readable
from fhir_server.access.roles import OF_HOSPITALS, OF_PEOPLE
from fhir_server.access.tables import hospitals, only, text

DEVELOPMENT = "development"
"""The name of the demo's own provider."""
SCOPES = "openid profile"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_KEYS = (
    "name", "title", "issuer", "client_id", "key", "secret_file", "scopes", "userinfo", "acr", "role",
)  # fmt: skip
_RULE_KEYS = ("claim", "value", "role", "hospitals", "hospitals_claim")


@dataclass(frozen=True, slots=True)
class Provider:
    """An identity provider: its issuer, what the registry is called there, and whom it maps to what.

    key or secret: by which the registry proves who it is; neither, as a public client. userinfo: whether
    claims are asked for at its UserInfo endpoint, too. acr: how somebody must have signed in, one of.
    """

    name: str
    title: str
    issuer: str
    client_id: str
    rules: tuple[Rule, ...]
    key: Key | None = field(default=None, repr=False)
    secret: str | None = field(default=None, repr=False)
    scopes: str = SCOPES
    userinfo: bool = False
    acr: tuple[str, ...] = ()


def providers(file: Path | None, base_url: str, *, is_local: bool = True) -> Mapping[str, Provider]:
    """Read the providers, by name; raises ValueError, with the file's name, for what is wrong.

    is_local: whether the registry is served to this machine alone, where it need not have TLS.
    """
    if file is None:
        return {}
    try:
        tables = tomllib.loads(file.read_text())
        only(tables, {"provider"}, "the file")
        found = [_provider(table, file.parent) for table in tables["provider"]]
        _refuse_useless(found)
    except (KeyError, TypeError, ValueError, OSError, JoseError) as wrong:
        said = f"{wrong.args[0]} is missing" if isinstance(wrong, KeyError) else wrong
        raise ValueError(f"{file} does not say who signs people in: {said}") from None
    if not (is_safe(base_url) and (is_local or urlsplit(base_url).scheme == "https")):
        raise ValueError(f"{file}: where people sign in, CSOR_BASE_URL is https, not {base_url}")
    return {each.name: each for each in found}


def _refuse_useless(found: list[Provider]) -> None:
    if not found:
        raise ValueError("it has no [[provider]] tables.")
    for what in ("name", "issuer"):
        listed = [getattr(each, what) for each in found]
        if twin := next((each for each in listed if listed.count(each) > 1), None):
            raise ValueError(f"two providers have the {what} {twin}.")


def _provider(table: dict[str, Any], folder: Path) -> Provider:
    name = text(table, "name")
    whose = f"the provider {name}"
    only(table, _KEYS, whose)
    if name == DEVELOPMENT or not _NAME.fullmatch(name):
        raise ValueError(f"{whose} needs another name: small letters, digits and -.")
    issuer = text(table, "issuer")
    parts = urlsplit(issuer)
    if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"the issuer of {whose} is an https URL without query, not {issuer}.")
    if "key" in table and "secret_file" in table:
        raise ValueError(f"{whose} has key and secret_file: it knows the registry by one of them.")
    listed = table.get("role")
    if not isinstance(listed, list) or not listed:
        raise ValueError(f"{whose} has no [[provider.role]] table: nobody could sign in.")
    scopes = text(table, "scopes") if "scopes" in table else SCOPES
    if "openid" not in scopes.split():
        raise ValueError(f"the scopes of {whose} lack openid.")
    return Provider(
        name,
        text(table, "title") if "title" in table else name,
        issuer,
        text(table, "client_id"),
        tuple(_rule(each, whose) for each in listed),
        key=_key(folder / text(table, "key")) if "key" in table else None,
        secret=_secret(folder / text(table, "secret_file")) if "secret_file" in table else None,
        scopes=scopes,
        userinfo=_flag(table.get("userinfo", False), whose),
        acr=_texts(table.get("acr", []), f"acr of {whose}"),
    )


def _key(file: Path) -> Key:
    refuse_readable(file)
    return private_key(file.read_bytes())


def _secret(file: Path) -> str:
    refuse_readable(file)
    if not (found := file.read_text().strip()):
        raise ValueError(f"{file} holds no secret.")
    return found


def _rule(table: dict[str, Any], whose: str) -> Rule:
    where = f"a role of {whose}"
    only(table, _RULE_KEYS, where)
    role = text(table, "role")
    if role not in OF_PEOPLE:
        raise ValueError(f"{where} is {role}; known are {', '.join(OF_PEOPLE)}.")
    told = [name for name in ("hospitals", "hospitals_claim") if name in table]
    if len(told) != (role in OF_HOSPITALS):
        listed = ", ".join(sorted(OF_HOSPITALS))
        raise ValueError(f"{where}: {listed} have hospitals or hospitals_claim, others neither.")
    return Rule(
        _path(table, "claim"),
        text(table, "value"),
        role,
        hospitals(table["hospitals"], where) if "hospitals" in table else frozenset(),
        _path(table, "hospitals_claim") if "hospitals_claim" in table else (),
    )


def _path(table: dict[str, Any], name: str) -> tuple[str, ...]:
    """Return the names on the way to a claim: a text with dots, or a list where names have dots."""
    if isinstance(table[name], list) and table[name]:
        return _texts(table[name], name)
    return tuple(text(table, name).split("."))


def _flag(given: Any, whose: str) -> bool:
    if not isinstance(given, bool):
        raise ValueError(f"userinfo of {whose} is true or false.")  # noqa: TRY004 - the file is wrong
    return given


def _texts(listed: Any, where: str) -> tuple[str, ...]:
    if not isinstance(listed, list) or not all(isinstance(each, str) and each for each in listed):
        raise ValueError(f"{where} is a list of texts.")
    return tuple(listed)
