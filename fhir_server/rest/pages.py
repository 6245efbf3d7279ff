"""The pages beside /fhir: an HTML file for each page, and the assets that `make web` has built.

No page holds patients' data: what it shows it asks for at /fhir. Headers as OWASP advises:
https://cheatsheetseries.owasp.org/cheatsheets/HTTP_Headers_Cheat_Sheet.html
"""

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from fhir_server.access.oidc_development import NOTICE
from fhir_server.context import Context
from fhir_server.rest import content_encoding

COMPILED = Path(__file__).parent / "compiled"
PATHS = {
    "/": "index.html",
    "/note": "note.html",
    "/survey": "survey.html",
    "/integrators": "integrator.html",
    "/scorecard": "integrator.html",
}
"""The HTML file of each page: the files differ in what they name to be fetched at once."""

_NONCE_PLACE = '<meta name="csp-nonce" content="" />'
_ASSET = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.(css|js|svg|woff2)")
_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "woff2": "font/woff2",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; font-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors {ancestors}"
)
_HEADERS = {
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_KEPT_FOR_EVER = "public, max-age=31536000, immutable"
"""An asset's name holds a hash of its content: another content has another name."""
_NOT_BUILT = (
    "The pages of this server are not built. Run `make web` in its folder and load this page again; "
    "the FHIR endpoint at /fhir does without them.\n"
)
_NOT_FOUND = (
    "There is no such file. Load the page again: the server may have a newer version of it.\n"
)


def routes(made: Context) -> list[BaseRoute]:
    """Return the routes of the pages and their assets."""
    folder = made.settings.pages or COMPILED
    origins = (made.settings.epr_origins or "").replace(",", " ").split()
    ancestors = " ".join(origins) or "'none'"
    notice = f'<p role="note">{NOTICE}</p>' if made.settings.demo else ""
    shown = [Route(path, _page(folder / name, ancestors, notice)) for path, name in PATHS.items()]
    return [*shown, Route("/assets/{name}", _asset(folder / "assets"))]


def _page(file: Path, ancestors: str, notice: str) -> Callable[[Request], Awaitable[Response]]:
    async def page(_: Request) -> Response:
        """Answer with the HTML file, a nonce of its own in it; 503 in plain words where none is built."""
        headers = {**_HEADERS, "Cache-Control": "no-store"}
        try:
            html = await asyncio.to_thread(file.read_text, "utf-8")
        except OSError:
            return PlainTextResponse(_NOT_BUILT, 503, headers)
        nonce = secrets.token_urlsafe(16)
        headers["Content-Security-Policy"] = _POLICY.format(nonce=nonce, ancestors=ancestors)
        given = _NONCE_PLACE.replace('content=""', f'content="{nonce}"')
        html = html.replace(_NONCE_PLACE, given).replace("<body>", f"<body>{notice}")
        return HTMLResponse(html, 200, headers)

    return page


def _asset(folder: Path) -> Callable[[Request], Awaitable[Response]]:
    async def asset(request: Request) -> Response:
        """Answer with a file of the folder itself, gzipped where that is accepted; 404 for all else."""
        name = request.path_params["name"]
        found = _ASSET.fullmatch(name)
        file = folder / name
        if not found or not await asyncio.to_thread(file.is_file):
            return PlainTextResponse(_NOT_FOUND, 404, {**_HEADERS, "Cache-Control": "no-store"})
        headers = {**_HEADERS, "Cache-Control": _KEPT_FOR_EVER, "Vary": "Accept-Encoding"}
        small = file.with_name(f"{name}.gz")
        accepted = content_encoding.is_accepted(
            request.headers.get("accept-encoding", "").encode("latin-1")
        )
        if accepted and await asyncio.to_thread(small.is_file):
            file, headers["Content-Encoding"] = small, "gzip"
        return FileResponse(file, 200, headers, _TYPES[found[1]])

    return asset
