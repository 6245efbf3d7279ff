"""An EPR is asked in time, without redirects, and for no more than can be read."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from fhir_server.access import asking, identity_token
from fhir_server.access.asking import RefusedError, ask
from r4.issue import FhirError
from tests.support.launching import Clock

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def answering(answer: Answer) -> AsyncIterator[str]:
    """Serve one answer to whatever is asked, until left."""

    async def asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        try:
            await answer(writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(asked, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/fhir"


def saying(status: str, body: bytes, *headers: str) -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
        writer.write("\r\n".join(lines).encode() + body)
        await writer.drain()

    return answer


async def test_what_it_answers_is_read_with_its_decimals() -> None:
    async with answering(saying("200 OK", b'{"value": 1.00}')) as url:
        found = await ask(url, query={"code": "a|b,c|d"})
    assert str(found["value"]) == "1.00"


async def test_a_redirect_is_a_refusal() -> None:
    """Whoever could redirect the registry could have it ask, with a token, where nobody registered."""
    elsewhere = "Location: http://127.0.0.1:9/secret"
    async with answering(saying("302 Found", b"", elsewhere)) as url:
        with pytest.raises(RefusedError) as refusal:
            await ask(url, token="secret")  # noqa: S106
    assert refusal.value.answered == 302


@pytest.mark.parametrize("body", [b"<html>", b"[1]", b'"text"', b""])
async def test_what_is_no_json_object_is_told_so(body: bytes) -> None:
    async with answering(saying("200 OK", body)) as url:
        with pytest.raises(FhirError, match="not JSON") as refusal:
            await ask(url)
    assert refusal.value.status == 502


async def test_more_than_can_be_read_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "LARGEST", 1000)
    async with answering(saying("200 OK", b'{"a":"%s"}' % (b"x" * 1000))) as url:
        with pytest.raises(FhirError, match="more than 1000 bytes"):
            await ask(url)


async def test_one_that_drips_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "SECONDS", 0.2)

    async def dripping(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.05)

    begun = time.monotonic()
    async with answering(dripping) as url:
        with pytest.raises(FhirError, match="does not answer in time"):
            await ask(url)
    assert time.monotonic() - begun < 5


async def test_one_that_is_not_there_is_told_so() -> None:
    with pytest.raises(FhirError, match="cannot be reached"):
        await ask("http://127.0.0.1:9/fhir")


async def test_neither_token_nor_address_is_in_a_refusal() -> None:
    async with answering(saying("500 Oops", b'{"error":"<script>"}')) as url:
        with pytest.raises(FhirError) as refusal:
            await ask(url, token="secret-token")  # noqa: S106
    for hidden in ("secret-token", "127.0.0.1", "<script>"):
        assert hidden not in str(refusal.value)


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [(ECKey.generate_key("P-384"), "ES384"), (RSAKey.generate_key(2048), "RS384")],
)
def test_the_registry_proves_who_it_is_by_either_kind_of_key(
    key: ECKey | RSAKey, algorithm: str
) -> None:
    now = Clock()()
    made = [identity_token.assertion(key, "csor", "https://epr.example/token", now) for _ in "ab"]
    found = [jwt.decode(each, key, [algorithm]) for each in made]
    assert found[0].header == {"alg": algorithm, "kid": key.thumbprint(), "typ": "JWT"}
    assert found[0].claims["exp"] - now.timestamp() <= 300
    assert found[0].claims["jti"] != found[1].claims["jti"]
