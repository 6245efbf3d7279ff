"""GET /.well-known/jwks.json: the public keys, by which anybody verifies what this server signed.

https://www.rfc-editor.org/rfc/rfc7517 (JWK Set)
"""

import asyncio
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fhir_server.context import Context
from r4.json import encode

PATH = "/.well-known/jwks.json"
MEDIA_TYPE = "application/jwk-set+json"
_KEPT = {"cache-control": "public, max-age=3600"}


def routes(made: Context) -> Sequence[BaseRoute]:
    """Return the route of the public keys: they are told to everybody."""

    async def answer(_: Request) -> Response:
        listed = await asyncio.to_thread(made.jwks)
        return Response(encode(listed), headers=_KEPT, media_type=MEDIA_TYPE)

    return [Route(PATH, answer)]
