"""In which order to store what refers to one another: what is referred to first, a circle together."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


def circles(refers: Mapping[T, Sequence[T]]) -> list[list[T]]:
    """Group nodes that lead to one another; a group comes after all others that it leads to.

    What a node refers to and is no node itself is left out. This is Tarjan's algorithm, without
    recursion: a chain of references may be longer than the interpreter's stack.
    https://doi.org/10.1137/0201010
    """
    search = _Search(refers)
    for node in refers:
        if node not in search.number:
            search.visit(node)
    return search.found


class _Search(Generic[T]):
    """What has been seen: when each node was reached, and the earliest that it leads back to."""

    def __init__(self, refers: Mapping[T, Sequence[T]]) -> None:
        self.refers = refers
        self.number: dict[T, int] = {}
        self.low: dict[T, int] = {}
        self.open: list[T] = []
        self.found: list[list[T]] = []
        self._inside: set[T] = set()

    def visit(self, first: T) -> None:
        """Find all groups that a node leads to, its own last."""
        self._enter(first)
        path = [(first, iter(self.refers[first]))]
        while path:
            node, others = path[-1]
            for other in others:
                if other in self.refers and other not in self.number:
                    self._enter(other)
                    path.append((other, iter(self.refers[other])))
                    break
                if other in self._inside:
                    self.low[node] = min(self.low[node], self.number[other])
            else:
                path.pop()
                self._leave(node)
                if path:
                    above = path[-1][0]
                    self.low[above] = min(self.low[above], self.low[node])

    def _enter(self, node: T) -> None:
        self.number[node] = self.low[node] = len(self.number)
        self.open.append(node)
        self._inside.add(node)

    def _leave(self, node: T) -> None:
        """Close the group whose first node this is."""
        if self.low[node] == self.number[node]:
            group = [self.open.pop()]
            while group[-1] != node:
                group.append(self.open.pop())
            self._inside.difference_update(group)
            self.found.append(group[::-1])
