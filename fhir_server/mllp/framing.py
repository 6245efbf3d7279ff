"""MLLP framing: bytes in any pieces to messages.

A frame may be split and joined by TCP in any way; bytes outside a frame are skipped and counted; a
frame that ends `1C` without `0D` is accepted; of a frame over the limit the beginning is kept, and the
next one is not disturbed. The blocks `06` and `15`, by which MLLP release 2 confirms that bytes have
arrived, are no messages: a peer that sends them for our answers is told nothing.
"""

from dataclasses import dataclass

START, END, RETURN = 0x0B, 0x1C, 0x0D
HEAD = 64 * 1024
"""How much of an oversize frame is kept, so that its MSH can be answered."""
_COMMITS = (b"\x06", b"\x15")


@dataclass(slots=True)
class Counts:
    """What a listener has seen; read by whoever watches the server."""

    connections: int = 0
    handshakes_failed: int = 0
    frames: int = 0
    oversize: int = 0
    commits: int = 0
    skipped_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Frame:
    """A message without its framing; of an oversize one, only the beginning."""

    content: bytes
    is_oversize: bool = False


def framed(content: bytes) -> bytes:
    """Return a message in its frame."""
    return b"%c%b%c%c" % (START, content, END, RETURN)


class Deframer:
    """Bytes in any pieces to frames; keeps what is not finished."""

    def __init__(self, limit: int, counts: Counts) -> None:
        self._limit = limit
        self._head = min(HEAD, limit)
        self._counts = counts
        self._buffer = bytearray()
        self._inside = False
        self._dropped = 0

    def feed(self, piece: bytes) -> list[Frame]:
        """Take a piece and return the frames that it completes."""
        frames: list[Frame] = []
        at = 0
        while at < len(piece):
            at = self._fill(piece, at, frames) if self._inside else self._enter(piece, at)
        return frames

    def _enter(self, piece: bytes, at: int) -> int:
        start = piece.find(START, at)
        between = piece[at:] if start < 0 else piece[at:start]
        self._counts.skipped_bytes += len(between) - between.count(RETURN)
        if start < 0:
            return len(piece)
        self._inside = True
        return start + 1

    def _fill(self, piece: bytes, at: int, frames: list[Frame]) -> int:
        end = piece.find(END, at)
        again = piece.find(START, at, end if end >= 0 else len(piece))
        if again >= 0:  # a second start: what came before it was never a message
            self._counts.skipped_bytes += len(self._buffer) + self._dropped + again - at + 1
            self._reset()
            return again + 1
        stop = end if end >= 0 else len(piece)
        self._keep(piece[at:stop])
        if end < 0:
            return stop
        self._frame(frames)
        self._reset()
        self._inside = False
        return end + 1

    def _frame(self, frames: list[Frame]) -> None:
        if self._buffer in _COMMITS:
            self._counts.commits += 1
        else:
            frames.append(Frame(bytes(self._buffer), self._dropped > 0))

    def _keep(self, piece: bytes) -> None:
        if self._dropped or len(self._buffer) + len(piece) > self._limit:
            whole = len(self._buffer) + len(piece)
            self._buffer += piece[: max(0, self._head - len(self._buffer))]
            del self._buffer[self._head :]
            self._dropped += whole - len(self._buffer)
        else:
            self._buffer += piece

    def _reset(self) -> None:
        self._buffer.clear()
        self._dropped = 0
