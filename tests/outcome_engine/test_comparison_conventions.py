"""Limits by other programmes' conventions, of the babies operated on from 1991 to 1995."""

from dataclasses import replace

import pytest

from outcome_engine.comparison.conventions import conventional
from outcome_engine.comparison.hospitals import Hospital, Policy, compare
from outcome_engine.methods.intervals import byar, exact_count, wilson
from tests.outcome_engine.comparison_examples import HOSPITALS, RATE

POLICY = Policy(event="bad", tau2=0.0)


@pytest.fixture(scope="module")
def compared():
    return compare(
        [
            Hospital(name, [1] * deaths + [0] * (operations - deaths), [RATE] * operations)
            for name, (deaths, operations) in HOSPITALS.items()
        ],
        POLICY,
    ).hospitals


def beyond(compared, convention, stage):
    return {
        each.id
        for each in conventional(compared, convention, POLICY)
        if not getattr(each, stage)[0] <= each.value <= getattr(each, stage)[1]
    }


def test_bristol_alone_is_an_alarm_by_every_convention_that_does_not_hide_it(compared):
    for convention in ("fingertips-proportion", "fingertips-ratio", "shmi"):
        assert beyond(compared, convention, "alarm") == {"Bristol"}
    assert "Bristol" in beyond(compared, "cqc", "alert")


def test_fingertips_proportions_are_wilsons_intervals_turned_round(compared):
    bristol = conventional(compared, "fingertips-proportion", POLICY)[0]
    assert bristol.value == 41 / 143
    assert bristol.interval == wilson(41, 143)
    for limit in bristol.alert:
        assert any(end == pytest.approx(RATE) for end in wilson(limit * 143, 143))


def test_ratios_have_byars_interval_from_ten_on_and_the_exact_one_below(compared):
    bristol = conventional(compared, "shmi", POLICY)[0]
    expected = 143 * RATE
    assert bristol.value == pytest.approx(41 / expected)
    assert bristol.interval == pytest.approx([limit / expected for limit in byar(41)])
    few = compare([Hospital(str(at), [1] * 9 + [0] * 41, [0.2] * 50) for at in range(3)], POLICY)
    nine = conventional(few.hospitals, "fingertips-ratio", POLICY)[0]
    assert nine.interval == pytest.approx([limit / 10 for limit in exact_count(9)])


@pytest.mark.parametrize(
    ("level", "intervals"),
    [
        (0.95, [(1.0017147712553987, 1.1432332872498949), (0.08765040101829405, 0.13366576328418911),
                (0.0049233808250957762, 0.02043921455549973)]),
        (0.998, [(0.96351556196144372, 1.1860070415876287), (0.076954255283921108, 0.14897920510466744),
                 (0.0029339306550682617, 0.027105896514690211)]),
    ],
)  # fmt: skip
def test_ratios_and_intervals_are_those_of_the_english_public_health_methods(level, intervals):
    # PHEindicatormethods, testdata_DSR_ISR.xlsx: indirectly standardised ratios of three areas, of which
    # the last has fewer than ten events.
    expected, children = 835.88356123117433, 9000
    areas = [
        Hospital(
            str(events), [1] * events + [0] * (children - events), [expected / children] * children
        )
        for events in (895, 91, 9)
    ]
    policy = replace(POLICY, interval=level)
    found = conventional(compare(areas, policy).hospitals, "fingertips-ratio", policy)
    assert [each.value for each in found] == pytest.approx(
        [1.0707232939020275, 0.10886683770400503, 0.010767049882813684], rel=1e-12
    )
    for each, interval in zip(found, intervals, strict=True):
        assert each.interval == pytest.approx(interval, rel=1e-9)


def test_limits_on_a_transformed_scale_allow_for_the_overdispersion_of_their_scheme(compared):
    # tau2 0.0055655 (truncated, logarithm) and 0.0037018 (winsorised, square root): by the published
    # formulas in 40 digits, test_comparison_overdispersion.py.
    expected = 143 * RATE
    log_scale = conventional(compared, "shmi", POLICY)[0]
    assert log_scale.alert[1] == pytest.approx(
        2.718281828459045 ** (1.959964 * (1 / expected + 0.0055655418) ** 0.5), rel=1e-6
    )
    root = conventional(compared, "cqc", POLICY)[0]
    assert root.alarm[1] == pytest.approx(
        (1 + 3.090232 * (1 / (4 * expected) + 0.0037018394) ** 0.5) ** 2, rel=1e-6
    )


def test_a_hospital_without_an_event_has_no_logarithm():
    given = [Hospital(str(at), [int(at > 0)] * 8, [0.2] * 8) for at in range(3)]
    with pytest.raises(ValueError, match="needs an event at every hospital"):
        conventional(compare(given, POLICY).hospitals, "shmi", POLICY)
