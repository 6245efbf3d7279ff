"""Two doors on real sockets, as small as can be: an MLLP listener and an HTTP endpoint."""

import asyncio
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from questionnaires import forms
from r4.json import encode

FORMS = [json.loads(encode(each)) for each in forms().values()]
"""The forms as a server hands them out: assembled, as JSON."""


def header(message: bytes) -> list[str]:
    return message.decode().split("\r")[0].split("|")


class MllpDoor:
    """A listener that keeps every message, answers as told, and drops connections when told."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.drop_at: set[int] = set()
        self.answer: Callable[[bytes], str] = lambda _: "AA"
        self.late: list[str] = []
        self.server: asyncio.Server | None = None
        self.port = 0

    async def open(self) -> None:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self.server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self.server:
            self.server.close()
            await self.server.wait_closed()
            self.server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                frame = await reader.readuntil(b"\x1c\r")
                assert frame.startswith(b"\x0b")
                message = frame[1:-2]
                self.messages.append(message)
                if len(self.messages) in self.drop_at:
                    return
                for stale in self.late:
                    writer.write(self._ack("AA", stale))
                writer.write(self._ack(self.answer(message), header(message)[9]))
                await writer.drain()
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    @staticmethod
    def _ack(code: str, control: str) -> bytes:
        text = f"MSH|^~\\&|CSOR|||||ACK|1|P|2.4\rMSA|{code}|{control}\r"
        return b"\x0b" + text.encode() + b"\x1c\r"


class HttpDoor:
    """An endpoint that keeps every request, serves the registry's forms, and answers 201."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str], Any]] = []
        self.statuses: list[int] = []
        self.expansions: dict[str, Any] = {}
        self.stored: list[str] = []
        self.broken = False
        self.forms = {each["id"]: {**each} for each in FORMS if "-hirschsprung" in each["id"]}
        self.server: asyncio.Server | None = None
        self.port = 0

    async def open(self) -> None:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self.server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self.server:
            self.server.close()
            await self.server.wait_closed()
            self.server = None

    def of(self, path: str) -> list[Any]:
        return [body for method, at, _, body in self.requests if at == path and method != "GET"]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                request, *lines = head.strip().split("\r\n")
                method, path, _ = request.split(" ")
                fields = dict(line.lower().split(": ", 1) for line in lines)
                body = await reader.readexactly(int(fields.get("content-length", "0")))
                status, answer = self._answer(method, path, fields, body)
                text = json.dumps(answer).encode()
                writer.write(
                    f"HTTP/1.1 {status} Done\r\nContent-Type: application/fhir+json\r\n"
                    f"Location: http://stub/{len(self.requests)}\r\n"
                    f"Content-Length: {len(text)}\r\n\r\n".encode()
                    + text
                )
                await writer.drain()
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    def _answer(
        self, method: str, path: str, fields: dict[str, str], body: bytes
    ) -> tuple[int, Any]:
        path = path.removeprefix("/fhir/")
        try:
            read = json.loads(body) if body else None
        except ValueError:
            return 400, {"resourceType": "OperationOutcome", "issue": [{"diagnostics": "no JSON"}]}
        self.requests.append((method, path, fields, read))
        if method == "GET" and self.broken:
            return 500, {"resourceType": "OperationOutcome"}
        if method == "GET" and path.startswith("ValueSet/$expand?url="):
            return 200, self.expansions[unquote(path.partition("=")[2])]
        if method == "GET":
            form = self.forms.get(path.removeprefix("Questionnaire/"))
            return (200, form) if form else (404, {"resourceType": "OperationOutcome"})
        status = self.statuses.pop(0) if self.statuses else 201
        if status >= 400:
            issue = {"severity": "error", "code": "invalid", "diagnostics": "the door said no"}
            return status, {"resourceType": "OperationOutcome", "issue": [issue]}
        entries = [{"response": {"status": "201", "location": place}} for place in self.stored]
        return status, {"resourceType": "Bundle", "entry": entries}
