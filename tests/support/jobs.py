"""Jobs for a writer, which may be another process: functions of a module that it can import."""

import os
import signal
from typing import Any

from fhir_server.store.connection import Connection
from r4.issue import FhirError, error

ADD = "INSERT INTO job (id, kind, status, principal, accepted, request, state)"


def add(connection: Connection, key: str) -> str:
    connection.execute(f"{ADD} VALUES (?, 'export', 'accepted', '', 0, ?, ?)", (key, b"", b""))
    return key


def refuse(connection: Connection, key: str) -> None:
    add(connection, key)
    raise FhirError(409, [error("conflict", "as it was asked for", "here")])


def end(_connection: Connection) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def process(_connection: Connection) -> int:
    return os.getpid()


def generator(_connection: Connection) -> Any:
    return (number for number in range(1))


def measure(_connection: Connection, text: str) -> int:
    return len(text)
