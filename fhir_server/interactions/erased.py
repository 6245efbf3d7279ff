"""A child who was erased at the family's request does not come back by the next message (ADR 0059)."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from fhir_server.context import Context
from fhir_server.settings import Settings
from fhir_server.store import suppression
from fhir_server.store.belonging import pairs_of
from fhir_server.store.seen import whole
from r4.issue import FhirError, Issue, error
from r4.json import Resource

_BYTES = 32
_RULE = "erased"


def key_file(settings: Settings) -> Path:
    """Return the file of the key: the operator's, or one beside the database."""
    if settings.suppression_key is not None:
        return settings.suppression_key
    beside = "csor" if "://" in settings.database else settings.database
    return Path(f"{beside}.suppression.key")


def key(context: Context) -> bytes:
    """Return the key of the suppression list; made, for its owner alone, where nobody is on the list.

    Raises FhirError 503 where it is not there, or is another one than the list was made with.
    """
    file, read = key_file(context.settings), whole(context.database).read
    if not file.exists() and not suppression.is_any(read):
        descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            out.write(os.urandom(_BYTES).hex().encode())
            out.flush()
            os.fsync(out.fileno())
    try:
        found = bytes.fromhex(file.read_text("ascii").strip())
    except (OSError, ValueError):
        found = b""
    if len(found) < _BYTES or not suppression.is_key(read, found):
        text = (
            f"{file.name} is not the key of the suppression list: restore it (CSOR_SUPPRESSION_KEY). "
            "Until then no child's record is written, for it could be that of one who was erased."
        )
        raise FhirError(503, [error("transient", text)])
    return found


def refused(context: Context, resource: Resource) -> Iterator[Issue]:
    """Yield why a Patient is not stored: it has an identifier of a child who was erased."""
    if resource["resourceType"] != "Patient" or not context.suppressions.is_any(_read(context)):
        return
    identifiers = sorted(pairs_of(resource.get("identifier", [])))
    found = suppression.tombstone_of(_read(context), key(context), identifiers)
    if found is not None:
        text = (
            "This identifier is that of a child whose record was erased at the family's request "
            f"(erasure {found}). Nothing was stored: ask the registry."
        )
        yield error("business-rule", text, "Patient.identifier", _RULE)


def is_of_erased(issues: Iterable[Issue]) -> bool:
    """Tell whether what was refused is about a child who was erased: it is not kept, then."""
    return any(issue.rule == _RULE for issue in issues)


def _read(context: Context) -> suppression.Read:
    return whole(context.database).read
