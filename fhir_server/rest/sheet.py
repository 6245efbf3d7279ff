"""Small pages that the server writes itself, beside those that are built: forms and sentences, no app."""

import secrets
from collections.abc import Sequence
from html import escape

from starlette.responses import Response

SECRET = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
_STYLE = (
    "body{font:1rem/1.5 system-ui,sans-serif;margin:0;color:#111;background:#fff}"
    "main{max-width:40rem;margin:2rem auto;padding:0 1rem}"
    "button,input,select{font:inherit;padding:.4rem .8rem;margin:.2rem 0}"
    "a{color:#0b4f8a}li,label{display:block;margin:.5rem 0}ul{padding:0}"
    ".notice{background:#fff3cd;padding:.5rem 1rem;border:2px solid #8a6d00}"
)


def sheet(
    title: str,
    body: str,
    status: int = 200,
    *,
    script: str = "",
    sends_to: Sequence[str] = (),
    ancestors: Sequence[str] = (),
) -> Response:
    """Return a page; body is HTML, everything else is text.

    script: what may run. sends_to: other origins that the answer to a form may lead to. ancestors: the
    origins that may show it in a frame.
    """
    nonce = secrets.token_urlsafe(16)
    run = f'<script nonce="{nonce}">{script}</script>' if script else ""
    content = (
        '<!doctype html><html lang="en-GB"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{escape(title)}</title>'
        f'<style nonce="{nonce}">{_STYLE}</style></head><body>'
        f"<main><h1>{escape(title)}</h1>{body}</main>{run}</body></html>"
    )
    own, framed = " ".join(["'self'", *sends_to]), " ".join(ancestors) or "'none'"
    policy = (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src data:; "
        f"connect-src 'self'; base-uri 'none'; form-action {own}; "
        f"frame-ancestors {framed}"
    )
    headers = {
        **SECRET,
        "Referrer-Policy": "same-origin",  # without any, a form's Origin would be null
        "Content-Security-Policy": policy,
    }
    return Response(content, status, headers, "text/html")
