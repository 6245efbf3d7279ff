"""Whatever is sent by MLLP is acknowledged: accepted, or refused with what is wrong; nothing fails."""

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import strategies as st

import mappings
from tests.support.mutations import every, of_lengths
from tests.support.server import Served, served

ODS = "https://fhir.nhs.uk/Id/ods-organization-code"
MESSAGES = [
    file.read_bytes().replace(b"|AL|NE|", b"|||")
    for file in sorted((Path(mappings.__file__).parent / "hl7v2" / "examples").glob("*.hl7"))
]
HOSPITALS = sorted({message.split(b"|")[3].decode() for message in MESSAGES})
INTERNAL = b"207"
"""HL7 table 0357: application internal error."""
ODD = st.sampled_from([
    b"", b'""', b"^", b"~", b"&", b"\\", b"\\X0\\", b"\\E", b"^^^", b"~~", b"|", b"\r", b"\n", b"\x00",
    b"\xff\xfe", b"20200230", b"0000", b"202001010000+9999", b"9" * 40, b"9990000018", b"9990000018^^^NHS",
    b"A01", b"ADT^A40", b"RTH", b"2.9", b"8859/1", b"NM", b"CWE", b"ED", b"1E999", b"<5", b"Q43.1^x^I10",
]) | st.binary(max_size=6)  # fmt: skip


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("port")) as running:
        for code in HOSPITALS:
            hospital = {
                "resourceType": "Organization",
                "identifier": [{"system": ODS, "value": code}],
                "name": code,
            }
            assert running.http.post("/Organization", json=hospital).status_code == 201
        yield running


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """Draw a message in which segments, fields, repetitions, components or bytes are others."""
    message = draw(st.sampled_from(MESSAGES))
    for _ in range(draw(st.integers(1, 4))):
        mark = draw(st.sampled_from([b"\r", b"|", b"|", b"|", b"^", b"~"]))
        parts = message.split(mark)
        at = draw(st.integers(0, len(parts) - 1))
        what = draw(st.sampled_from(["drop", "again", "other", "replace", "end", "bytes"]))
        if what == "drop" and len(parts) > 1:
            del parts[at]
        elif what == "again":
            parts.insert(at, parts[at])
        elif what == "other":
            parts[at] = parts[draw(st.integers(0, len(parts) - 1))]
        elif what == "end":
            parts = parts[: at + 1]
        elif what == "bytes":
            cut = draw(st.integers(0, len(parts[at])))
            parts[at] = parts[at][:cut] + draw(ODD) + parts[at][cut + 1 :]
        else:
            parts[at] = draw(ODD)
        message = mark.join(parts)
    return message.translate(None, b"\x0b\x1c")


def answered(connection: socket.socket, message: bytes) -> bytes:
    connection.sendall(b"\x0b" + message + b"\x1c\r")
    received = b""
    while not received.endswith(b"\x1c\r"):
        part = connection.recv(65536)
        assert part, ("the connection was closed", message, received)
        received += part
    return received[1:-2]


@of_lengths(250, 10_000)
def test_any_message_is_acknowledged(port: Served, length: int) -> None:
    codes: set[bytes] = set()

    def check(message: bytes) -> None:
        with closing(socket.create_connection(("127.0.0.1", port.mllp_port), 10)) as connection:
            answer = answered(connection, message)
        mark = answer[3:4]
        segments = [segment.split(mark) for segment in answer.split(b"\r") if segment]
        assert segments[0][0] == b"MSH", (message, answer)
        (code,) = [segment[1] for segment in segments if segment[0] == b"MSA"]
        codes.add(code)
        errors = [segment for segment in segments if segment[0] == b"ERR"]
        assert (code in (b"AA", b"CA")) == (not errors), (message, answer)
        assert not any(INTERNAL in mark.join(error[:5]) for error in errors), (message, answer)

    every(length, check, messages())
    assert {b"AA", b"AE", b"AR"} <= codes <= {b"AA", b"AE", b"AR", b"CA", b"CR"}
