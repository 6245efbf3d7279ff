"""Whether a survey may go on, by the last day of its Task: the registry's own, or one a client stored."""

from typing import Any

import pytest

from fhir_server.context import Context
from fhir_server.operations.survey_standing import Survey, ended
from tests.support.surveys import task

CHILD = {"resourceType": "Patient", "id": "nobody"}


@pytest.mark.parametrize(
    ("period", "reason"),
    [
        ({"start": "2001-01-01", "end": "2001-12-31"}, "window-over"),
        ({"start": "2001-01-01", "end": "9998-12-31"}, None),
        ({"start": "2001-01-01", "end": "2001-12-31T12:00:00Z"}, "window-over"),
        ({"start": "2001-01-01", "end": "2001-12"}, "window-over"),
        ({"start": "2001-01-01", "end": "9998"}, None),
        ({"start": "2001-01-01"}, None),
        (None, None),
    ],
)
def test_a_survey_is_over_after_its_last_day_and_without_one_never(
    period: dict[str, str] | None, reason: str | None, run: Any
) -> None:
    async def work(made: Context) -> None:
        found = task("1.survey", {"reference": "Patient/nobody"}, {"reference": "RelatedPerson/p"})
        found["restriction"] = {} if period is None else {"period": period}
        assert ended(made, Survey(found, 1, CHILD)) == reason

    run(work)
