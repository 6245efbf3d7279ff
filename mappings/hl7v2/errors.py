"""What can be wrong with a message, in the words of HL7 table 0357 and of FHIR issues.

An Issue made here carries the table 0357 code as its rule and the ERR-2 location (`PID^1^3`) as its
expression. Status 400 means that the message as such is refused (AR), 422 its content (AE).
"""

from collections.abc import Sequence
from typing import Literal

from r4.issue import FhirError, Issue, error

SEQUENCE, REQUIRED, DATA_TYPE, TABLE_VALUE, TOO_LONG = "100", "101", "102", "103", "104"
UNSUPPORTED_MESSAGE, UNSUPPORTED_EVENT, UNSUPPORTED_VERSION = "200", "201", "203"
UNKNOWN_KEY, DUPLICATE_KEY, LOCKED, INTERNAL = "204", "205", "206", "207"

TEXTS = {
    SEQUENCE: "Segment sequence error",
    REQUIRED: "Required field missing",
    DATA_TYPE: "Data type error",
    TABLE_VALUE: "Table value not found",
    TOO_LONG: "Value too long",
    UNSUPPORTED_MESSAGE: "Unsupported message type",
    UNSUPPORTED_EVENT: "Unsupported event code",
    "202": "Unsupported processing id",
    UNSUPPORTED_VERSION: "Unsupported version id",
    UNKNOWN_KEY: "Unknown key identifier",
    DUPLICATE_KEY: "Duplicate key identifier",
    LOCKED: "Application record locked",
    INTERNAL: "Application internal error",
}
"""HL7 table 0357, message error condition codes."""

_ISSUE_CODES = {
    SEQUENCE: "structure",
    REQUIRED: "required",
    DATA_TYPE: "value",
    TABLE_VALUE: "code-invalid",
    UNKNOWN_KEY: "not-found",
    DUPLICATE_KEY: "duplicate",
}
_CONDITIONS = {
    "structure": SEQUENCE,
    "required": REQUIRED,
    "value": DATA_TYPE,
    "invalid": DATA_TYPE,
    "code-invalid": TABLE_VALUE,
    "too-long": TOO_LONG,
    "not-found": UNKNOWN_KEY,
    "multiple-matches": DUPLICATE_KEY,
    "duplicate": DUPLICATE_KEY,
    "conflict": LOCKED,
    "lock-error": LOCKED,
}
_REJECTED = {UNSUPPORTED_MESSAGE, UNSUPPORTED_EVENT, "202", UNSUPPORTED_VERSION}


def issue(rule: str, text: str, location: str | None = None) -> Issue:
    """Build an error with its table 0357 code as rule and its ERR-2 location as expression."""
    return error(_ISSUE_CODES.get(rule, "not-supported"), text, location, rule)


def structural(text: str) -> FhirError:
    """Build the error for bytes that are no message we can read: status 400, acknowledged AR."""
    return FhirError(400, [issue(SEQUENCE, text, "MSH^1")])


def rejected(rule: str, text: str, location: str) -> FhirError:
    """Build the error for a message of an unsupported kind: status 400, acknowledged AR."""
    return FhirError(400, [issue(rule, text, location)])


def condition(found: Issue) -> str:
    """Return the table 0357 code of any Issue, whoever made it."""
    if found.rule in TEXTS:
        return str(found.rule)
    return _CONDITIONS.get(found.code, INTERNAL)


def ack_code(issues: Sequence[Issue]) -> Literal["AA", "AE", "AR"]:
    """Choose the acknowledgement: AR refuses the message as such, AE its content, AA is no error."""
    errors = [found for found in issues if found.is_error]
    if not errors:
        return "AA"
    refused = any(found.rule in _REJECTED or found.rule == SEQUENCE for found in errors)
    return "AR" if refused else "AE"
