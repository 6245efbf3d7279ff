"""Who is born when, where and with which condition: the plan of a simulated registry.

The plan is drawn for all hospitals together, so that a subset of them has the same children.
"""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from random import Random

from fhir_server.simulate import people, tables
from fhir_server.simulate.events import LONDON, Child


def plan(seed: int, start: date, years: int, size: float) -> list[Child]:
    """Return the children in order of birth: about 550 a year at size 1, by the benchmark table."""
    random = Random(f"{seed}:cohort")
    per_year = round(tables.benchmarks()["any"]["children-per-year"] * size)
    births = [birth for year in range(years) for birth in _births(random, start, year, per_year)]
    hospitals = tables.hospitals()
    where = random.choices(hospitals, [each.share for each in hospitals], k=len(births))
    conditions = list(tables.conditions())
    weights = [tables.benchmarks()[each]["annual-children"] for each in conditions]
    what = random.choices(conditions, weights, k=len(births))
    numbers = people.numbers(seed)
    return [
        Child(index, seed, hospital.ods, condition, birth, next(numbers))
        for index, (birth, hospital, condition) in enumerate(zip(births, where, what, strict=True))
    ]


def _births(random: Random, start: date, year: int, count: int) -> Iterator[datetime]:
    first = datetime(start.year + year, start.month, start.day, tzinfo=LONDON)
    moments = sorted((random.randrange(365), random.randint(4, 20)) for _ in range(count))
    for day, hour in moments:
        yield (first + timedelta(days=day)).replace(hour=hour, minute=random.randint(0, 59))
