"""What is said of a message that the registry failed on for a reason that nobody foresaw."""

import logging

from fhir_server.store.failure import place
from r4.issue import Issue, error

logger = logging.getLogger("csor.messages")


def unforeseen(message: int, failure: Exception) -> Issue:
    """Log where a message of the inbox failed (no content: it may be a patient's); returns what is said."""
    logger.error("message %d: %s", message, place(failure))
    text = "The registry failed to process this message; it is kept and will be looked at."
    return error("exception", text)
