"""What is counted in memory while a server runs: messages, requests, how long a message takes.

Nothing identifies a child: labels are a door, a hospital, a kind of message and an answer, as far as they
look like one; whoever sends ever new ones is counted as `other`.
"""

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from typing import Literal, NamedTuple

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the histogram of processing times, in seconds."""
_MOST = 1000
"""Most combinations of labels."""
_HOSPITAL = re.compile(r"[A-Z0-9]{3,6}\Z")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER = "other"

Kind = Literal["counter", "gauge"]


class Watched(NamedTuple):
    """A number that is read when it is asked for: its name, its kind, what it says, how it is read."""

    name: str
    kind: Kind
    about: str
    read: Callable[[], float]


class Metrics:
    """The counts of one process, from its start on."""

    def __init__(self) -> None:
        self.messages: Counter[tuple[str, str, str, str]] = Counter()
        self.requests: Counter[tuple[str, str]] = Counter()
        self.buckets = [0] * (len(BOUNDS) + 1)
        self.seconds = 0.0
        self.watched: dict[str, Watched] = {}
        self._labels: dict[tuple[str, str | None, str | None, str], tuple[str, str, str, str]] = {}

    def message(
        self, door: str, hospital: str | None, kind: str | None, answer: str, seconds: float
    ) -> None:
        """Count a message that was worked, by its answer (AA, AE, AR), and how long it took."""
        given = (door, hospital, kind, answer)
        labels = self._labels.get(given) or self._label(given)
        self.messages[labels] += 1
        self.buckets[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds

    def request(self, method: str, status: int) -> None:
        """Count a request that was answered, by its method and the first digit of its status."""
        self.requests[method if method in _METHODS else OTHER, f"{status // 100}xx"] += 1

    def watch(self, name: str, kind: Kind, about: str, read: Callable[[], float]) -> None:
        """Let a number be told with the counts; a later one of the same name takes its place."""
        self.watched[name] = Watched(name, kind, about, read)

    def _label(self, given: tuple[str, str | None, str | None, str]) -> tuple[str, str, str, str]:
        door, hospital, kind, answer = given
        if len(self._labels) >= _MOST:
            return door, OTHER, OTHER, answer
        told = hospital if hospital and _HOSPITAL.match(hospital) else OTHER
        return self._labels.setdefault(given, (door, told, kind or OTHER, answer))
