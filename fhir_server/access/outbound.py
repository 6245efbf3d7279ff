"""How this server asks others over HTTP: one way for all, by which nobody is asked who must not be.

A URL is one that the operator has written or allowed; what it answers leads nowhere else. Where others say
the URL, its host must not be on a private network.
https://cheatsheetseries.owasp.org/cheatsheets/Server_Side_Request_Forgery_Prevention_Cheat_Sheet.html
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Collection
from functools import cache

import httpx


@cache
def tls() -> ssl.SSLContext:
    """Read the machine's certificates once: that takes longer than a request."""
    return ssl.create_default_context()


def client(
    seconds: float | None,
    *,
    context: ssl.SSLContext | None = None,
    proxied: bool = False,
    limits: httpx.Limits | None = None,
) -> httpx.AsyncClient:
    """Return a client that follows no redirect and keeps to an end of time.

    seconds: None where whoever asks sees to the time. proxied: whether the environment may name a proxy
    and passwords for it; a proxy looks names up itself, so never where an address was looked at.
    """
    return httpx.AsyncClient(
        verify=context or tls(),
        follow_redirects=False,
        trust_env=proxied,
        timeout=seconds,
        limits=limits or httpx.Limits(),
    )


class PrivateAddressError(Exception):
    """A host has an address on a private network, which the operator has not allowed."""


async def public_address(host: str, port: int, private_hosts: Collection[str] = ()) -> str:
    """Return an address of a host, to be connected to: asked again, the name might lead elsewhere.

    private_hosts may have private addresses. Raises PrivateAddressError where one of its addresses is
    private, OSError where the host is not known.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(each[4][0]) for each in found]
    if host.lower() not in private_hosts and not all(map(is_public, addresses)):
        raise PrivateAddressError(host)
    return addresses[0]


def is_public(address: str) -> bool:
    """Tell whether an address is one of the public internet, and of one host."""
    found = ipaddress.ip_address(address.partition("%")[0])
    embedded = [found.ipv4_mapped, found.sixtofour] if found.version == 6 else []  # noqa: PLR2004
    held = next((each for each in embedded if each is not None), found)
    return bool(held.is_global and not held.is_multicast)
