"""Cross-Origin Resource Sharing: which pages of other sites a browser lets use this server.

A page that is let in still needs a bearer token: its origin says nothing about who uses it.

https://hl7.org/fhir/R4/security.html#cors
"""

from collections.abc import Mapping
from dataclasses import dataclass

from fhir_server.rest.request import Request

METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
ALLOWED = (
    "Accept, Authorization, Content-Type, Content-Encoding, If-Match, If-Modified-Since, "
    "If-None-Exist, If-None-Match, Prefer, X-Purpose-Of-Use, X-Request-ID"
)
EXPOSED = "ETag, Location, Last-Modified, Content-Location, X-Request-ID"
_DAY = "86400"


@dataclass(frozen=True, slots=True)
class Cors:
    """The origins whose pages are let in; `*` is any."""

    origins: frozenset[str] = frozenset()

    def headers(self, request: Request) -> Mapping[str, str]:
        """Return what an answer says to the browser that shows the page which asked; {} if no page."""
        if not self.origins:
            return {}
        vary = {"Vary": "Origin"}
        origin = request.header("origin")
        if origin is None or not ({origin, "*"} & self.origins):
            return vary
        return {
            **vary,
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Expose-Headers": EXPOSED,
        }

    def preflight(self, request: Request) -> Mapping[str, str] | None:
        """Return the answer to a browser that asks first; None where the request is not such."""
        if request.method != "OPTIONS" or request.header("access-control-request-method") is None:
            return None
        allowed = self.headers(request)
        if "Access-Control-Allow-Origin" not in allowed:
            return None
        return {
            **allowed,
            "Access-Control-Allow-Methods": METHODS,
            "Access-Control-Allow-Headers": ALLOWED,
            "Access-Control-Max-Age": _DAY,
        }


def cors(listed: str | None) -> Cors:
    """Read the setting: origins, separated by commas."""
    origins = (origin.strip().rstrip("/") for origin in (listed or "").split(","))
    return Cors(frozenset(origin for origin in origins if origin))
