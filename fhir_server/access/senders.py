"""Who sends HL7 v2, and which hospitals each connection may speak for.

A sender is known by its connection: the certificate of a mutual TLS connection, the name of an HTTP
client, or an address. MSH-4 says which hospital a message is of, and must be one of its sender's.
"""

import ipaddress
import tomllib
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from fhir_server.access import clients, is_local
from fhir_server.access.private import refuse_readable
from fhir_server.access.tables import hashes, hospitals, only, text
from fhir_server.settings import Settings
from r4.issue import FhirError, error

Door = Literal["mllp", "http-hl7v2"]

_FINGERPRINT = "openssl x509 -noout -fingerprint -sha256 -in <certificate>"
_TRUST, _SITE = 3, 5
"""How long the ODS codes of a trust and of one of its sites are; the site's begins with the trust's."""


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of a connection: door, address, SHA-256 of its certificate, HTTP client's name."""

    door: Door
    address: str
    certificate: str | None = None
    client: str | None = None


@dataclass(frozen=True, slots=True)
class Sender:
    """A connection that may send HL7 v2, and how its messages are treated.

    hospitals: ODS codes that MSH-4 may hold; None is any, on a machine where nobody is registered.
    acknowledge: whether AA says that a message is stored, or that it is kept and will be.
    reused: what becomes of other content with an MSH-10 that was used before.
    failing: whether messages about a child wait behind one that was refused.
    """

    name: str
    hospitals: frozenset[str] | None = None
    acknowledge: Literal["application", "commit"] = "application"
    reused: Literal["quarantine", "accept"] = "quarantine"
    failing: Literal["continue", "park"] = "continue"

    def speaks_for(self, facility: str) -> bool:
        """Tell whether MSH-4 may hold a code: one that is listed, or a site's of a listed trust."""
        if self.hospitals is None or facility in self.hospitals:
            return True
        return len(facility) == _SITE and facility[:_TRUST] in self.hospitals


LOCAL_SENDER = Sender("local")
"""Whoever sends from this machine where no sender is registered."""


@dataclass(frozen=True, slots=True)
class Listener:
    """An MLLP listener: where, with which files for TLS, and what it allows (None: the default)."""

    host: str
    port: int
    certificate: Path | None = None
    key: Path | None = None
    client_ca: Path | None = None
    frame: int | None = None
    connections: int | None = None
    idle_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class _Known:
    """A registered sender with what it is known by."""

    sender: Sender
    certificates: frozenset[str]
    client: str | None
    address: str | None


@dataclass(frozen=True, slots=True)
class Senders:
    """Every registered sender; None registered: this machine's own programs, for any hospital."""

    known: tuple[_Known, ...] | None = None
    listeners: tuple[Listener, ...] = ()
    _certificates: dict[str, _Known] = field(init=False, default_factory=dict)
    _clients: dict[str, _Known] = field(init=False, default_factory=dict)
    _addresses: dict[str, _Known] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Index by what senders are known by; raises ValueError where two share that."""
        for each in self.known or ():
            for certificate in each.certificates:
                _put(self._certificates, certificate, each, "certificate_sha256")
            if each.client:
                _put(self._clients, each.client, each, "client")
            if each.address and not (each.certificates or each.client):
                _put(self._addresses, each.address, each, "address")

    def of(self, peer: Peer) -> Sender:
        """Return the sender at the other end of a connection; raises FhirError 403 for nobody's."""
        if self.known is None:
            if is_local(peer.address) and peer.client is None and peer.certificate is None:
                return LOCAL_SENDER
            raise _unknown(peer)
        found = self._known_by(peer)
        if found is None or (found.address and found.address != _normal(peer.address)):
            raise _unknown(peer)
        return found.sender

    def of_client(self, name: str) -> tuple[Sender, ...]:
        """Return the senders that have a name, or that are the HTTP client of that name."""
        return tuple(
            each.sender for each in self.known or () if name in (each.sender.name, each.client)
        )

    def _known_by(self, peer: Peer) -> _Known | None:
        if peer.client is not None:
            return self._clients.get(peer.client)
        if peer.certificate is not None:
            return self._certificates.get(peer.certificate)
        return self._addresses.get(_normal(peer.address))


def _unknown(peer: Peer) -> FhirError:
    shown = f"the address {peer.address}"
    if peer.client is not None:
        shown = f"the client {peer.client}"
    elif peer.certificate is not None:
        shown = f"the certificate with SHA-256 {peer.certificate}"
    text = f"No sender of HL7 v2 is registered here with {shown}: nothing was read or kept."
    return FhirError(403, [error("forbidden", text)])


def _put(index: dict[str, _Known], key: str, known: _Known, name: str) -> None:
    if key in index:
        raise ValueError(
            f"Two senders, {index[key].sender.name} and {known.sender.name}, have the same {name}: "
            "a connection must tell who sends."
        )
    index[key] = known


def senders(settings: Settings) -> Senders:
    """Return who may send HL7 v2, and the MLLP listeners, which are none where MLLP is switched off.

    Raises ValueError with what to mend where the file of CSOR_HL7V2_SENDERS cannot be read as such,
    or where a listener would be open to peers that cannot be told apart.
    """
    usual = Listener(settings.mllp_host, settings.mllp_port)
    found = Senders(None, (usual,))
    if settings.hl7v2_senders is not None:
        found = _read(settings.hl7v2_senders, usual)
        known = [each.name for each in clients(settings.clients) if "hl7v2" in each.doors]
        _refuse_unknown_clients(found, known)
    if not settings.mllp:
        return replace(found, listeners=())
    for listener in found.listeners:
        _refuse_open(listener)
    return found


def _refuse_unknown_clients(found: Senders, registered: Collection[str]) -> None:
    for each in found.known or ():
        if each.client is not None and each.client not in registered:
            raise ValueError(
                f"The sender {each.sender.name} has the client {each.client}, which is not in the "
                "file of CSOR_CLIENTS, or not registered there for the door hl7v2."
            )


def _refuse_open(listener: Listener) -> None:
    place = f"The MLLP listener {listener.host}:{listener.port}"
    if (listener.certificate is None) != (listener.key is None):
        raise ValueError(f"{place} needs both certificate and key for TLS, or neither.")
    if listener.client_ca is not None and listener.certificate is None:
        raise ValueError(f"{place} has a client_ca, and needs a certificate and key of its own.")
    if listener.key is not None:
        refuse_readable(listener.key)
    if listener.client_ca is None and not is_local(listener.host):
        raise ValueError(
            f"{place} can be reached from other machines, and does not ask them for certificates. "
            "Give it certificate, key and client_ca in the file of CSOR_HL7V2_SENDERS (mutual TLS), "
            "keep it on 127.0.0.1 behind a tunnel that authenticates, or set CSOR_MLLP=false."
        )


_LISTENER = frozenset(
    ("host", "port", "certificate", "key", "client_ca", "frame", "connections", "idle_seconds")
)
_SENDER = frozenset(
    (
        "name", "hospitals", "certificate_sha256", "client", "address", "acknowledge", "reused",
        "failing", "reason",
    )
)  # fmt: skip
_CHOICES = {
    "acknowledge": ("application", "commit"),
    "reused": ("quarantine", "accept"),
    "failing": ("continue", "park"),
}


def _read(file: Path, usual: Listener) -> Senders:
    try:
        tables = tomllib.loads(file.read_text())
        only(tables, {"listener", "sender"}, "the file")
        listeners = tuple(_listener(each, file.parent) for each in tables.get("listener", ()))
        known = tuple(_known(each) for each in tables.get("sender", ()))
        return Senders(known, listeners or (usual,))
    except (OSError, KeyError, TypeError, ValueError) as wrong:
        said = f"{wrong.args[0]} is missing" if isinstance(wrong, KeyError) else wrong
        raise ValueError(f"{file} does not say who sends HL7 v2: {said}") from None


def _listener(table: dict[str, Any], folder: Path) -> Listener:
    only(table, _LISTENER, "a [[listener]]")
    certificate, key, client_ca = (
        folder / text(table, name) if name in table else None
        for name in ("certificate", "key", "client_ca")
    )
    for name in ("port", "frame", "connections", "idle_seconds"):
        given = table.get(name, 1)
        if isinstance(given, bool) or not isinstance(given, int) or given < 1:
            raise ValueError(f"{name} of a [[listener]] must be a whole number above 0.")
    host = text(table, "host") if "host" in table else "127.0.0.1"
    limits = (table.get(name) for name in ("frame", "connections", "idle_seconds"))
    return Listener(host, table["port"], certificate, key, client_ca, *limits)


def _known(table: dict[str, Any]) -> _Known:
    only(table, _SENDER, "a [[sender]]")
    name = text(table, "name")
    for key, choices in _CHOICES.items():
        if table.get(key, choices[0]) not in choices:
            raise ValueError(f"{key} of the sender {name} must be {' or '.join(choices)}.")
    whose = f"the sender {name}"
    spoken_for = hospitals(table["hospitals"], whose)
    listed = table.get("certificate_sha256", ())
    certificates = frozenset(hashes(listed, "certificate_sha256", whose, _FINGERPRINT))
    client = text(table, "client") if "client" in table else None
    address = str(ipaddress.ip_address(table["address"])) if "address" in table else None
    if not (certificates or client or address):
        raise ValueError(
            f"the sender {name} cannot be told by anything: give certificate_sha256, client or "
            "address."
        )
    said = {key: table[key] for key in _CHOICES if key in table}
    return _Known(Sender(name, spoken_for, **said), certificates, client, address)


def _normal(address: str) -> str:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    mapped = getattr(found, "ipv4_mapped", None)
    return str(mapped or found)
