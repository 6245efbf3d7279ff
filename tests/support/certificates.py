"""Certificates for tests: authorities that exist for one test run, in memory and in its folder."""

import hashlib
import ssl
from datetime import datetime
from pathlib import Path

import trustme

HOST = "127.0.0.1"


class Authority:
    """A certificate authority; its certificate stands in `<name>-ca.pem`."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._ca = trustme.CA()
        self.pem = folder / f"{name}-ca.pem"
        self._ca.cert_pem.write_to_path(str(self.pem))

    def issue(
        self, name: str, *, host: str = HOST, expired: datetime | None = None
    ) -> tuple[Path, Path]:
        """Issue a certificate; returns the PEM files of it (with its chain) and of its key."""
        leaf = self._ca.issue_cert(host, not_after=expired)
        certificate, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        leaf.private_key_pem.write_to_path(str(key))
        key.chmod(0o600)
        for at, part in enumerate(leaf.cert_chain_pems):
            part.write_to_path(str(certificate), append=at > 0)
        return certificate, key


def sha256(certificate: Path) -> str:
    """Return the SHA-256 of a certificate as openssl's fingerprint, without its colons."""
    first = certificate.read_text().partition("-----END CERTIFICATE-----")
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(first[0] + first[1] + "\n")).hexdigest()


def client(authority: Path, shown: tuple[Path, Path] | None = None) -> ssl.SSLContext:
    """Return how a client connects that trusts an authority, and shows a certificate or none."""
    context = ssl.create_default_context(cafile=str(authority))
    if shown is not None:
        context.load_cert_chain(*shown)
    return context
