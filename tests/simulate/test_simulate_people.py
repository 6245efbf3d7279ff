"""People are fictitious, and visibly so."""

from itertools import islice

import pytest

from fhir_server.simulate import people, tables
from tests.simulate.conftest import Stories


@pytest.mark.parametrize("number", ["9990000018", "9990000026", "9434765919", "9000000009"])
def test_the_check_digit_is_that_of_published_numbers(number: str) -> None:
    assert people.check_digit(number[:9]) == int(number[9])


def test_numbers_are_valid_different_and_of_the_range_that_is_never_issued() -> None:
    numbers = list(islice(people.numbers(1), 50_000))
    assert len(set(numbers)) == len(numbers)
    for number in numbers:
        weighted = sum(
            int(digit) * weight for digit, weight in zip(number, range(10, 0, -1), strict=True)
        )
        assert number.startswith("999")
        assert weighted % 11 == 0


def test_names_say_that_they_are_tests(stories: Stories) -> None:
    for events in stories.values():
        assert all(event.person.family.startswith("Testchild-") for event in events)
        assert all(event.surgeon.family.startswith("Testsurgeon-") for event in events)


def test_every_surgeon_has_a_number_of_seven_digits_of_its_own() -> None:
    numbers = [each.gmc for ods in tables.hospitals() for each in people.surgeons(ods.ods)]
    assert len(set(numbers)) == len(numbers) == 30
    assert all(len(number) == 7 and number.isdigit() for number in numbers)
