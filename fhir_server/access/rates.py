"""How much each caller may ask for: so many requests a second on the whole, more at once for a while.

In memory, of the one process that serves: of each caller one moment is kept, by which what it has left is
told (the generic cell rate algorithm). A program on this machine is not limited.
https://www.itu.int/rec/T-REC-I.371-200403-I, annex A
"""

import ipaddress
import time
from collections.abc import Callable
from functools import lru_cache
from math import ceil

from fhir_server.access import LOCAL, is_local
from fhir_server.context import Principal
from fhir_server.settings import Settings
from r4.issue import FhirError, error

AT_ONCE = 10.0
"""How many seconds' requests may come all at once."""
_MOST = 10_000
"""Callers of whom a moment is kept; beyond them, new ones count as one, until others have paused."""
_PRUNED = 1.0
_NEIGHBOURS = 64
"""How long the prefix of IPv6 is that one caller has: it can take any address below it."""
_OTHERS = ("", "others")

Key = tuple[str, str]


class ThrottledError(FhirError):
    """A caller asks for more than it may; `wait` is after how many whole seconds it may ask again."""

    def __init__(self, who: str, rate: float, wait: float) -> None:
        self.wait = max(1, ceil(wait))
        text = (
            f"{who} may ask {rate:g} times a second on the whole, and has asked more often: nothing was "
            f"read or stored. Send this again in {self.wait} seconds."
        )
        super().__init__(429, [error("throttled", text)])


class Rates:
    """How much of late each caller has asked for, at each door."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._usual, self._unknown = settings.rate_limit, settings.rate_limit_unknown
        self._sign_in = settings.rate_limit_sign_in
        self._clock = clock
        self._due: dict[Key, float] = {}
        self._pruned = 0.0
        self.refused = 0
        """How often somebody was told to wait."""

    def ask(self, principal: Principal, door: str) -> None:
        """Count what a known caller asks for; raises ThrottledError where it is more than it may."""
        if principal.name == LOCAL.name:
            return
        rate = principal.rate or self._usual
        if wait := self._wait((door, principal.name), rate):
            self.refused += 1
            raise ThrottledError(principal.name, rate, wait)

    def ask_unknown(self, address: str | None, *, forwarded: bool, signs_in: bool = False) -> None:
        """Count what somebody unknown asks for, apart what signs in; raises ThrottledError.

        Whatever a proxy has passed on is counted as one caller's: whose it is cannot be told.
        """
        if address is not None and not forwarded and is_this_machine(address):
            return
        whose = "proxy" if forwarded or address is None else neighbourhood(address)
        door, rate = ("sign-in", self._sign_in) if signs_in else ("", self._unknown)
        if wait := self._wait((door, whose), rate):
            self.refused += 1
            who = "What comes by a proxy" if whose == "proxy" else "Your address"
            raise ThrottledError(who, rate, wait)

    def wait(self, name: str, door: str) -> float:
        """Return for how many seconds a sender's next message waits; at 0.0 it is counted."""
        return self._wait((door, name), self._usual)

    def _wait(self, key: Key, rate: float) -> float:
        now = self._clock()
        due = self._due.get(key)
        if due is None:
            if len(self._due) >= _MOST:
                key = self._room(key, now)
            due = self._due.get(key, now)
        due = max(due, now)
        over = due - now - AT_ONCE
        if over > 0.0:
            return over
        self._due[key] = due + 1.0 / rate
        return 0.0

    def _room(self, key: Key, now: float) -> Key:
        """Forget who has paused; returns the key, or that of all others where nobody has."""
        if now - self._pruned >= _PRUNED:
            self._pruned = now
            self._due = {each: due for each, due in self._due.items() if due > now}
        return key if len(self._due) < _MOST else _OTHERS


@lru_cache(maxsize=1024)
def is_this_machine(address: str) -> bool:
    """Tell whether an address is this machine's own."""
    return is_local(address)


@lru_cache(maxsize=1024)
def neighbourhood(address: str) -> str:
    """Return an address, of IPv6 its /64: what one caller can take."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if found.version == 4:  # noqa: PLR2004
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, _NEIGHBOURS), strict=False))
