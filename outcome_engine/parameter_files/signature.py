"""Signatures of parameter files and models: who may sign, signing, and what makes one worthless.

A detached JWS (RFC 7515, appendix F) over the one way of writing a file, by a key (RFC 7517) of the
registry's file of signatories. What is signed says itself on what day it was.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any, NoReturn

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from r4.json import Resource

Key = ECKey | OKPKey | RSAKey
ALGORITHMS = ("ES384", "Ed25519", "PS512", "RS512")
"""The signatures that are taken; a key that is made here signs by the first."""
_OF_KEY = {"EC": ("ES384",), "OKP": ("Ed25519",), "RSA": ("PS512", "RS512")}
_KINDS: dict[str, type[Key]] = {"EC": ECKey, "OKP": OKPKey, "RSA": RSAKey}
_CURVE = "P-384"
_LEAST_RSA = 3072

_canonical = msgspec.json.Encoder(decimal_format="number", order="deterministic")


class RefusedError(Exception):
    """A signature or file that is not accepted: the refusal's name (`REFUSALS`), and a sentence."""

    def __init__(self, rule: str, text: str) -> None:
        self.rule = rule
        self.text = text
        super().__init__(f"{rule}: {text}")


@dataclass(frozen=True, slots=True)
class Signatory:
    """Who may sign, in what role, with what public key, and from and until what day."""

    name: str
    role: str
    key: Key
    valid_from: date
    valid_until: date

    @property
    def id(self) -> str:
        """The RFC 7638 thumbprint of the key, by which a signature names it."""
        return self.key.thumbprint()


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature that holds: whose, on what day, and the SHA-256 (hex) of what was signed."""

    signatory: str
    role: str
    on: date
    digest: str


class _Entry(BaseModel):
    """One key of the file of signatories: a public JWK with who holds it."""

    model_config = ConfigDict(extra="allow", alias_generator=lambda name: name.replace("_", "-"))

    kty: str
    name: str = Field(min_length=1)
    role: str = Field(min_length=1)
    valid_from: date
    valid_until: date


class Signatories:
    """The registry's signatories, by the thumbprint of their keys."""

    def __init__(self, known: Iterable[Signatory] = ()) -> None:
        self._known = {each.id: each for each in known}

    @classmethod
    def load(cls, file: Path | None) -> "Signatories":
        """Read a JWKS whose keys carry name, role, valid-from and valid-until; None holds nobody.

        Raises ValueError, with the file's name, for what is wrong in it, a private key above all.
        """
        if file is None:
            return cls()
        try:
            keys = msgspec.json.decode(file.read_bytes())["keys"]
            known = [_signatory(entry) for entry in keys]
        except (KeyError, TypeError, ValueError, JoseError) as wrong:
            text = f"{file} is no list of signatories as docs/parameters.md has it: {wrong}"
            raise ValueError(text) from None
        found = cls(known)
        if len(found) < len(known):
            raise ValueError(f"{file}: two signatories have one key")
        return found

    def __len__(self) -> int:
        return len(self._known)

    def __iter__(self) -> Any:
        return iter(self._known.values())

    def get(self, key: str) -> Signatory | None:
        """Return the signatory whose key has a thumbprint."""
        return self._known.get(key)


def canonical(file: Resource) -> bytes:
    """Return the bytes that are signed: names sorted, no blanks, everything but `signature.jws`."""
    signature = {k: v for k, v in file.get("signature", {}).items() if k != "jws"}
    return _canonical.encode({**file, "signature": signature})


def digest(file: Resource) -> str:
    """Return the SHA-256, in hex, of what is signed of a file."""
    return sha256(canonical(file)).hexdigest()


def made_key() -> ECKey:
    """Make a signatory's key pair (P-384)."""
    return ECKey.generate_key(_CURVE, private=True)


def read_key(pem: bytes) -> Key:
    """Read a private key in PEM: P-384, Ed25519, or RSA of 3072 bits or more; raises ValueError."""
    for kind in _KINDS.values():
        try:
            key = kind.import_key(pem)
        except (JoseError, ValueError):
            continue
        if not key.is_private:
            raise ValueError("the key is a public one: it signs nothing")
        return _strong(key)
    raise ValueError("it holds no private key in PEM")


def entry(key: Key, name: str, role: str, valid_from: date, valid_until: date) -> Resource:
    """Return what the file of signatories holds of a key: the public part, and who holds it."""
    return {
        **key.as_dict(private=False),
        "kid": key.thumbprint(),
        "name": name,
        "role": role,
        "valid-from": valid_from.isoformat(),
        "valid-until": valid_until.isoformat(),
    }


def sign(file: Resource, key: Key, on: date) -> Resource:
    """Return a file with its signature of a day, in place of any that it had."""
    draft = {**file, "signature": {"signed-on": on.isoformat()}}
    algorithm = _OF_KEY[key.key_type][0]
    header = {"alg": algorithm, "kid": key.thumbprint()}
    token = jws.serialize_compact(header, canonical(draft), key, algorithms=[algorithm])
    head, _, last = token.split(".")
    return {**draft, "signature": {**draft["signature"], "jws": f"{head}..{last}"}}


def verified(file: Resource, signatories: Signatories) -> Signed:
    """Return whose signature a file carries; raises RefusedError where it is none that holds.

    The key must have been valid on the day of signing, which is itself signed.
    """
    signature = file.get("signature")
    if not isinstance(signature, dict) or not isinstance(signature.get("jws"), str):
        _refuse("unsigned", "carries no signature")
    head, header = _header(signature["jws"])
    algorithm = header.get("alg")
    if algorithm == "none":
        _refuse("algorithm-none", "says of its signature `alg: none`: it is signed by nobody")
    if algorithm not in ALGORITHMS:
        taken = ", ".join(ALGORITHMS)
        _refuse("algorithm", f"is signed by {algorithm!r}; taken are {taken}")
    if header.keys() != {"alg", "kid"}:
        _refuse("malformed", "has a signature whose header is not exactly alg and kid")
    signatory = signatories.get(str(header["kid"]))
    if signatory is None:
        _refuse(
            "unknown-key",
            f"is signed by key {header['kid']!r}, which is none of the {len(signatories)} in the "
            "file of signatories (CSOR_SIGNATORIES)",
        )
    on = _day(signature)
    _holds(file, head, signature["jws"].rpartition(".")[2], str(algorithm), signatory)
    _valid_on(signatory, on)
    return Signed(signatory.name, signatory.role, on, digest(file))


def _signatory(entry: Resource) -> Signatory:
    try:
        said = _Entry.model_validate(entry)
    except ValidationError as wrong:
        problem = wrong.errors(include_url=False)[0]
        where = ".".join(map(str, problem["loc"]))
        raise ValueError(f"{where}: {problem['msg']}") from None
    if said.valid_until < said.valid_from:
        raise ValueError(f"{said.name}: valid-until is before valid-from")
    if said.kty not in _KINDS:
        raise ValueError(f"{said.name}: a key of type {said.kty} signs nothing here")
    members = {"kty", "crv", "x", "y", "n", "e", "d"}
    key = _KINDS[said.kty].import_key({k: v for k, v in entry.items() if k in members})
    if key.is_private:
        raise ValueError(f"{said.name}: the key is a private one; take it out, and make a new key")
    return Signatory(said.name, said.role, _strong(key), said.valid_from, said.valid_until)


def _strong(key: Key) -> Key:
    if isinstance(key, RSAKey):
        fits = key.raw_value.key_size >= _LEAST_RSA
    else:
        fits = key.curve_name in (_CURVE, "Ed25519")
    if not fits:
        raise ValueError(f"a key is of P-384, Ed25519, or RSA with {_LEAST_RSA} bits or more")
    return key


def _header(token: str) -> tuple[str, Resource]:
    head, *others = token.split(".")
    try:
        said = msgspec.json.decode(urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict) or len(others) != 2 or others[0]:  # noqa: PLR2004 - `head..last`
        _refuse("malformed", "has a signature that is no detached JWS (`header..signature`)")
    return head, said


def _holds(file: Resource, head: str, last: str, algorithm: str, signatory: Signatory) -> None:
    payload = urlsafe_b64encode(canonical(file)).rstrip(b"=").decode()
    if algorithm not in _OF_KEY[signatory.key.key_type]:
        _refuse("algorithm", f"is signed by {algorithm}, which {signatory.name}'s key is not for")
    try:
        jws.deserialize_compact(f"{head}.{payload}.{last}", signatory.key, algorithms=[algorithm])
    except (JoseError, ValueError):
        text = f"was changed after {signatory.name} signed it: the signature does not fit"
        raise RefusedError("tampered", text) from None


def _day(signature: Resource) -> date:
    try:
        return date.fromisoformat(signature["signed-on"])
    except (KeyError, TypeError, ValueError):
        _refuse("malformed", "has a signature without a day (`signed-on`)")


def _valid_on(signatory: Signatory, on: date) -> None:
    if on < signatory.valid_from:
        _refuse(
            "key-not-yet-valid",
            f"was signed on {on} by {signatory.name}, whose key is valid from "
            f"{signatory.valid_from}",
        )
    if on > signatory.valid_until:
        _refuse(
            "key-expired",
            f"was signed on {on} by {signatory.name}, whose key was valid until "
            f"{signatory.valid_until}",
        )


def _refuse(rule: str, text: str) -> NoReturn:
    raise RefusedError(rule, text)
