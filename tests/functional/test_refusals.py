"""Why writes of hospitals' clients were refused: the newest are kept, each client's apart."""

from collections.abc import Callable

from fhir_server.context import Context
from fhir_server.store import refusals
from fhir_server.store.refusals import MOST, Refusal


def test_the_newest_of_each_client_are_kept(run: Callable[..., None]) -> None:
    async def work(made: Context) -> None:
        await refusals.note(made.database, Refusal(0, "other", "create", None, "why"))
        for moment in range(MOST + 5):
            await refusals.note(made.database, Refusal(moment, "ward", "update", "Patient", "why"))
        kept = refusals.of(made.database, "ward")
        assert [each.moment for each in kept] == list(range(MOST + 4, 4, -1))
        assert refusals.of(made.database, "other") == [Refusal(0, "other", "create", None, "why")]

    run(work)


def test_a_long_reason_is_cut(run: Callable[..., None]) -> None:
    async def work(made: Context) -> None:
        await refusals.note(made.database, Refusal(1, "ward", "create", "Patient", "x" * 100_000))
        assert len(refusals.of(made.database, "ward")[0].reason) == 2000

    run(work)
