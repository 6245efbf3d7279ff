"""The hospitals' EPRs that may launch the registry's pages: a TOML file of `[[epr]]` tables.

https://hl7.org/fhir/smart-app-launch/app-launch.html#register-app-with-ehr
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from fhir_server.access.private import refuse_readable

Key = ECKey | RSAKey
SCOPES = (
    "openid fhirUser online_access patient/Patient.r patient/Encounter.rs patient/Condition.rs "
    "patient/Procedure.rs patient/Observation.rs patient/ServiceRequest.rs user/Practitioner.r "
    "user/PractitionerRole.r"
)
"""What is asked for, unless the table says otherwise: reading what a note is prefilled from."""
WRITE_BACK = "patient/DocumentReference.c"
_ODS = re.compile(r"[A-Z0-9]{3,6}\Z")
_LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True)
class Epr:
    """One EPR: the base of its FHIR server, what the registry is called there, and whose it is.

    hospital: the ODS code of the hospital whose notes are written from it. key: with which the registry
    proves who it is; None where it is registered as a public client. write_back: whether a signed note
    is given back as a DocumentReference.
    """

    name: str
    issuer: str
    client_id: str
    hospital: str
    scopes: str = SCOPES
    key: Key | None = field(default=None, repr=False)
    write_back: bool = False

    @property
    def asked(self) -> str:
        """The scopes that are asked for, but the one that says how the launch began."""
        return f"{self.scopes} {WRITE_BACK}" if self.write_back else self.scopes


def eprs(file: Path | None, base_url: str, *, is_local: bool = True) -> Mapping[str, Epr]:
    """Read the EPRs, each by its issuer; raises ValueError, with the file's name, for what is wrong.

    Neither an EPR nor the registry is reached without TLS but on this machine. is_local: whether the
    registry is served to this machine alone.
    """
    if file is None:
        return {}
    try:
        found = [_epr(table, file.parent) for table in tomllib.loads(file.read_text())["epr"]]
    except (KeyError, TypeError, ValueError, OSError, JoseError) as wrong:
        text = f"{file} is no list of [[epr]] tables as docs/smart.md has it: {wrong}"
        raise ValueError(text) from None
    if not (is_safe(base_url) and (is_local or urlsplit(base_url).scheme == "https")):
        raise ValueError(f"{file}: where EPRs launch pages, CSOR_BASE_URL is https, not {base_url}")
    if len({each.issuer for each in found}) < len(found):
        raise ValueError(f"{file}: two tables have one issuer")
    return {each.issuer: each for each in found}


def is_safe(url: str) -> bool:
    """Tell whether what is sent to a URL is read by nobody else: by TLS, or on this machine."""
    parts = urlsplit(url)
    return (parts.scheme == "https" and bool(parts.hostname)) or (
        parts.scheme == "http" and parts.hostname in _LOCAL
    )


def _epr(table: dict[str, Any], folder: Path) -> Epr:
    if unknown := table.keys() - {each.name for each in fields(Epr)}:
        raise ValueError(f"{', '.join(sorted(unknown))} is no key of it")
    given = {**table, "issuer": table["issuer"].rstrip("/")}
    if not is_safe(given["issuer"]):
        raise ValueError(f"the issuer {given['issuer']} is to be https")
    if not _ODS.match(table["hospital"]):
        raise ValueError(f"the hospital {table['hospital']} is no ODS code")
    if "key" in table:
        refuse_readable(folder / table["key"])
        given["key"] = private_key((folder / table["key"]).read_bytes())
    return Epr(**given)


def private_key(pem: bytes) -> Key:
    """Read a private key that SMART lets a client have, RSA or elliptic on P-384; raises ValueError."""
    try:
        return RSAKey.import_key(pem)
    except (JoseError, ValueError, TypeError):
        found = ECKey.import_key(pem)
    if found.curve_name != "P-384":
        raise ValueError("a key is RSA, or elliptic on P-384")
    return found
