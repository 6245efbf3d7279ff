"""Links to surveys: made when a parent is asked, and kept as a digest alone.

https://www.rfc-editor.org/rfc/rfc7515 (JWS)
"""

import secrets
from datetime import datetime

from fhir_server.access.links import Link, written
from fhir_server.context import Context
from fhir_server.store.links import record

PAGE = "survey"
_SECRET = 32
_MICROSECONDS = 1_000_000


async def link(context: Context, task_id: str, expires: datetime) -> str:
    """Return a new link to a survey, which opens it once before it expires."""
    seconds = int(expires.timestamp())
    made = Link(secrets.token_urlsafe(_SECRET), task_id, seconds)
    await record(context.database, made.digest, task_id, seconds * _MICROSECONDS)
    root = context.base_url.removesuffix("/fhir")
    return f"{root}/{PAGE}#{written(made, context.seal)}"
