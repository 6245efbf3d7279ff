"""TLS of a listener: its certificate, and the certificates that it asks its peers for.

TLS 1.2 and later, with the defaults of OpenSSL. https://www.rfc-editor.org/rfc/rfc8446
"""

import hashlib
import ssl
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Files:
    """PEM files of a listener: its certificate (chain) and key, and the authorities of its peers'."""

    certificate: Path
    key: Path
    client_ca: Path | None = None


def context(files: Files) -> ssl.SSLContext:
    """Return what a listener shakes hands by.

    Raises ValueError, naming the files, where they are not there or do not belong together.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    renew(made, files)
    if files.client_ca is not None:
        made.verify_mode = ssl.CERT_REQUIRED
    return made


def renew(made: ssl.SSLContext, files: Files) -> None:
    """Go by what the files hold now, for handshakes from now on; raises ValueError as `context`."""
    try:
        made.load_cert_chain(files.certificate, files.key, password=_no_password)
        if files.client_ca is not None:
            made.load_verify_locations(files.client_ca)
    except (OSError, ssl.SSLError) as wrong:
        named = ", ".join(str(each) for each in (files.certificate, files.key, files.client_ca))
        raise ValueError(f"A listener cannot have TLS by {named}: {wrong}") from None


def _no_password() -> str:
    raise ValueError("the key has a password; give a key file without one, readable by the server")


def fingerprint(connection: ssl.SSLObject | None) -> str | None:
    """Return the SHA-256 of the peer's certificate in hex; None where it has shown none."""
    shown = connection.getpeercert(binary_form=True) if connection is not None else None
    return hashlib.sha256(shown).hexdigest() if shown else None
