"""A page of an app elsewhere: npm's fhirclient, launched by itself, and what it then has found."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.serving import served

_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>App</title></head>
<body><h1>An app</h1><pre id="found"></pre><script src="/fhir-client.js"></script>
<script src="/app.js"></script></body></html>"""


@contextmanager
def app_page(library: Path, script: str) -> Iterator[str]:
    """Serve an app's page, which runs the library and a script, until left; yields its origin."""
    answers = {
        "/fhir-client.js": ("text/javascript", library.read_bytes()),
        "/app.js": ("text/javascript", script.encode()),
        "/": ("text/html", _PAGE.encode()),
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, body = answers.get(urlsplit(self.path).path, ("text/plain", b""))
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    with served(server):
        yield f"http://127.0.0.1:{server.server_port}"
