"""What the simulator's tests share: a large cohort's stories, the forms, and two open doors."""

from collections.abc import AsyncIterator
from datetime import date, datetime

import pytest

from fhir_server.simulate import cohort
from fhir_server.simulate.events import LONDON, Child, Event
from fhir_server.simulate.forms import Form
from fhir_server.simulate.story import tell
from tests.simulate.doors import FORMS, HttpDoor, MllpDoor

Stories = dict[Child, list[Event]]

UNTIL = datetime(2026, 6, 30, 23, 59, tzinfo=LONDON)


@pytest.fixture(scope="session")
def stories() -> Stories:
    """Eleven thousand children of one year, each with its story."""
    return {child: tell(child) for child in cohort.plan(7, date(2018, 1, 1), 1, 20)}


@pytest.fixture(scope="session")
def forms() -> dict[str, Form]:
    return {each["id"]: Form(each) for each in FORMS}


@pytest.fixture
async def mllp() -> AsyncIterator[MllpDoor]:
    door = MllpDoor()
    await door.open()
    yield door
    await door.close()


@pytest.fixture
async def http() -> AsyncIterator[HttpDoor]:
    door = HttpDoor()
    await door.open()
    yield door
    await door.close()
