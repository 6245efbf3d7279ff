"""`verify-document`: whether a signed document is what its signer signed; changes nothing."""

import argparse
from collections.abc import Callable
from pathlib import Path

from fhir_server.access import keys
from fhir_server.commands.files import json_object
from fhir_server.settings import Settings
from r4.issue import FhirError
from r4.json import Resource


def add_arguments(add: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Add the command."""
    command = add("verify-document", "Check that a signed document is what its signer signed.")
    command.add_argument("file", type=Path, help="the document Bundle, as JSON")
    command.add_argument("--keys", type=Path, help="the JWKS of who sealed it; by default our own")
    command.set_defaults(run=lambda given: verify_document(Settings(), given.file, given.keys))


def verify_document(settings: Settings, file: Path, jwks: Path | None) -> int:
    """Print who signed a document and when, or why that is not certain (exit status 1).

    file: the document Bundle as JSON. jwks: the public keys, as /.well-known/jwks.json gives them; by
    default this server's own. Raises OSError or ValueError for a file that cannot be read.
    """
    document = json_object(file)
    known = json_object(jwks) if jwks is not None else keys.own(settings)
    try:
        signature = keys.verify(document, known)
    except FhirError as refusal:
        print(f"{file}: {'; '.join(issue.diagnostics for issue in refusal.issues)}")
        return 1
    print(f"{file}: unchanged since {_signer(document, signature)} signed it, {signature['when']}")
    return 0


def _signer(document: Resource, signature: Resource) -> str:
    who = signature["who"]
    said = who.get("display") or who.get("reference", "somebody")
    for entry in document["entry"]:
        if entry.get("fullUrl") == who.get("reference"):
            for identifier in entry["resource"].get("identifier", ()):
                said += f" ({identifier.get('system')}|{identifier.get('value')})"
    return str(said)
