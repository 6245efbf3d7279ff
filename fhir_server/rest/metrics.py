"""GET /metrics: what a server has counted, and what waits in its inbox, as Prometheus reads it.

https://prometheus.io/docs/instrumenting/exposition_formats/ (text format 0.0.4)
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from itertools import accumulate

from starlette.requests import Request
from starlette.responses import Response

from fhir_server.access import Callers, admit
from fhir_server.context import Context, microseconds
from fhir_server.rest import errors
from fhir_server.store import inbox
from fhir_server.store.metrics import BOUNDS
from r4.issue import FhirError

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_STATUSES = ("received", "refused", "quarantined", "parked")
_MICROSECONDS = 1_000_000


def metrics(context: Context, callers: Callers) -> Callable[[Request], Awaitable[Response]]:
    """Return what answers GET /metrics: to a caller on this machine, or a registered client."""

    async def answer(request: Request) -> Response:
        host = request.client.host if request.client else None
        try:
            principal = callers.identify(host, dict(request.scope["headers"]))
            admit(principal, "metrics")
        except FhirError as refusal:
            said = "\n".join(issue.diagnostics for issue in refusal.issues)
            headers = errors.HEADERS.get(refusal.status)
            return Response(f"{said}\n", refusal.status, headers, "text/plain")
        waiting = await asyncio.to_thread(inbox.backlog, context.database)
        lines = "\n".join(_lines(context, *waiting))
        return Response(f"{lines}\n", headers={"content-type": MEDIA_TYPE})

    return answer


def _lines(context: Context, held: Mapping[str, int], oldest: int | None) -> Iterator[str]:
    counted = context.metrics
    yield from _headed("csor_messages_total", "counter", "Messages worked, by answer.")
    for (door, hospital, kind, code), many in sorted(counted.messages.items()):
        labels = {"door": door, "hospital": hospital, "kind": kind, "answer": code}
        yield f"csor_messages_total{_labels(labels)} {many}"
    yield from _histogram(context)
    yield from _inbox(context, held, oldest)
    yield from _headed("csor_requests_total", "counter", "FHIR requests answered, by status.")
    for (method, status), many in sorted(counted.requests.items()):
        yield f"csor_requests_total{_labels({'method': method, 'status': status})} {many}"
    for name, kind, about, read in counted.watched.values():
        yield from _headed(name, kind, about)
        yield f"{name} {read():g}"


def _histogram(context: Context) -> Iterator[str]:
    counted, name = context.metrics, "csor_message_seconds"
    yield from _headed(name, "histogram", "How long it took to work a message.")
    sums = list(accumulate(counted.buckets))
    for bound, many in zip((*(f"{each:g}" for each in BOUNDS), "+Inf"), sums, strict=True):
        yield f"{name}_bucket{_labels({'le': bound})} {many}"
    yield f"{name}_sum {counted.seconds:.6f}"
    yield f"{name}_count {sums[-1]}"


def _inbox(context: Context, held: Mapping[str, int], oldest: int | None) -> Iterator[str]:
    name = "csor_inbox_messages"
    yield from _headed(name, "gauge", "Messages of the inbox that are not settled, by status.")
    for status in _STATUSES:
        yield f"{name}{_labels({'status': status})} {held.get(status, 0)}"
    name = "csor_inbox_lag_seconds"
    yield from _headed(name, "gauge", "Age of the oldest message that is not worked yet.")
    age = 0.0 if oldest is None else (microseconds(context.now()) - oldest) / _MICROSECONDS
    yield f"{name} {max(0.0, age):.3f}"


def _headed(name: str, kind: str, about: str) -> Iterator[str]:
    yield f"# HELP {name} {about}"
    yield f"# TYPE {name} {kind}"


def _labels(labels: dict[str, str]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
