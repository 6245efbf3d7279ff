"""Each provider is given the message it asks for, over TLS, and a refusal is an error that is seen."""

import json
import socketserver
import threading
from collections.abc import Iterator
from email import message_from_string
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from fhir_server.operations.couriers import EMAIL, SMS, FileCourier, courier
from fhir_server.settings import Settings

TEXT = "Ŵele: <https://registry.example/survey#abc>\n\nSecond line.\n"


class Mailbox(socketserver.StreamRequestHandler):
    """As much of SMTP as a client without TLS needs (RFC 5321)."""

    taken: ClassVar[list[str]] = []
    refused: ClassVar[str] = ""

    def handle(self) -> None:
        self.wfile.write(b"220 ready\r\n")
        while line := self.rfile.readline().decode().strip():
            verb = line[:4].upper()
            if verb == "RCPT" and self.refused:
                self.wfile.write(f"{self.refused}\r\n".encode())
            elif verb == "DATA":
                self.wfile.write(b"354 go on\r\n")
                read = iter(self.rfile.readline, b".\r\n")
                self.taken.append("".join(each.decode() for each in read))
                self.wfile.write(b"250 taken\r\n")
            else:
                self.wfile.write(b"221 bye\r\n" if verb == "QUIT" else b"250 ok\r\n")


class Provider(BaseHTTPRequestHandler):
    """A provider of text messages."""

    taken: ClassVar[list[tuple[str, str | None, Any]]] = []
    status: ClassVar[int] = 201

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.taken.append((self.path, self.headers["Authorization"], json.loads(body)))
        self.send_response(self.status)
        self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def ports() -> Iterator[dict[str, int]]:
    Mailbox.taken, Mailbox.refused, Provider.taken, Provider.status = [], "", [], 201
    mail = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Mailbox)
    texts = HTTPServer(("127.0.0.1", 0), Provider)
    servers = {"smtp": mail, "http": texts}
    for each in servers.values():
        threading.Thread(target=each.serve_forever, args=(0.01,), daemon=True).start()
    yield {name: each.server_address[1] for name, each in servers.items()}
    for each in servers.values():
        each.shutdown()
        each.server_close()


def settings(folder: Path, kind: str, text: str) -> Settings:
    (folder / "sender.toml").write_text(text)
    return Settings(survey_sender=kind, survey_sender_file=folder / "sender.toml")


def smtp(port: int, **more: str) -> str:
    lines = {"host": "127.0.0.1", "tls": "none", "sender": "registry@csor.example", **more}
    return "\n".join(["[smtp]", f"port = {port}", *(f'{k} = "{v}"' for k, v in lines.items())])


def http(port: int, **more: str) -> str:
    lines = {"url": f"http://127.0.0.1:{port}/v1/texts", "to": "phone", "text": "message", **more}
    said = [f'{key} = "{value}"' for key, value in lines.items()]
    return "\n".join(["[http]", *said, "[http.more]", 'template = "t-1"'])


async def test_an_email_arrives_as_it_was_written(tmp_path: Path, ports: dict[str, int]) -> None:
    found = courier(settings(tmp_path, "smtp", smtp(ports["smtp"])))
    assert found is not None
    assert found.media == (EMAIL,)
    await found.send("parent@home.example", "A short survey", TEXT)
    [taken] = Mailbox.taken
    read = message_from_string(taken.replace("\r\n", "\n"))
    assert (read["From"], read["To"]) == ("registry@csor.example", "parent@home.example")
    assert (read["Subject"], read["Auto-Submitted"]) == ("A short survey", "auto-generated")
    content = read.get_payload(decode=True)
    assert isinstance(content, bytes)
    assert content.decode() == TEXT


async def test_an_address_cannot_write_headers(tmp_path: Path, ports: dict[str, int]) -> None:
    found = courier(settings(tmp_path, "smtp", smtp(ports["smtp"])))
    assert found is not None
    with pytest.raises(ValueError, match=r"linefeed|newline"):
        await found.send("parent@home.example\nBcc: all@home.example", "A short survey", TEXT)
    assert Mailbox.taken == []


async def test_a_text_message_is_posted_as_the_provider_asks(
    tmp_path: Path, ports: dict[str, int]
) -> None:
    (tmp_path / "key").write_text("Bearer secret\n")
    (tmp_path / "key").chmod(0o600)
    found = courier(settings(tmp_path, "http", http(ports["http"], authorization_file="key")))
    assert found is not None
    assert found.media == (SMS,)
    await found.send("+447700900123", "not sent", TEXT)
    sent = {"template": "t-1", "phone": "+447700900123", "message": TEXT}
    assert Provider.taken == [("/v1/texts", "Bearer secret", sent)]


async def test_what_a_provider_does_not_take_is_an_error(
    tmp_path: Path, ports: dict[str, int]
) -> None:
    Mailbox.refused, Provider.status = "550 no such mailbox", 302  # a redirect is not followed
    for kind, text in (("smtp", smtp(ports["smtp"])), ("http", http(ports["http"]))):
        found = courier(settings(tmp_path, kind, text))
        assert found is not None
        with pytest.raises(OSError, match=r"550|302|refused"):
            await found.send("parent@home.example", "A short survey", TEXT)
    assert len(Provider.taken) == 1


def test_a_folder_is_beside_its_file(tmp_path: Path) -> None:
    found = courier(settings(tmp_path, "file", '[file]\nfolder = "out"'))
    assert found == FileCourier(tmp_path / "out")


def test_nothing_is_sent_unless_it_is_asked_for() -> None:
    assert courier(Settings()) is None


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("smtp", smtp(25, host="mail.example")),
        ("smtp", smtp(25, tls="maybe")),
        ("smtp", '[smtp]\nhost = "mail.example"'),
        ("http", http(80, url="http://texts.example/v1")),
        ("http", '[http]\nurl = "https://texts.example/v1"'),
        ("file", "[smtp]"),
        ("file", "no TOML"),
    ],
)
def test_a_file_that_says_too_little_or_sends_in_the_clear_is_refused(
    tmp_path: Path, kind: str, text: str
) -> None:
    with pytest.raises(ValueError, match=r"sender\.toml"):
        courier(settings(tmp_path, kind, text))


def test_without_a_file_the_sender_is_refused() -> None:
    with pytest.raises(ValueError, match="CSOR_SURVEY_SENDER_FILE"):
        courier(Settings(survey_sender="smtp"))
