"""Directly standardised rates and their funnel against those of English public health.

PHEindicatormethods, in its tests: testdata_DSR_ISR.xlsx (areas `testdata_big` and `testdata_small` by
the European Standard Population 2013), testdata_funnel_rate_outputs.csv and
testdata_funnel_rate_dsr_inputs.csv. Numbers only; the expected ones are by 100,000.
"""

import pytest

from outcome_engine.methods.standardised_rate import (
    Stratum,
    average,
    directly_standardised,
    rate_limits,
)

# Eurostat, Revision of the European Standard Population, 2013: nineteen age bands, 0-4 to 90 and more.
ESP_2013 = [5000, 5500, 5500, 5500, 6000, 6000, 6500, 7000, 7000, 7000, 7000, 6500, 6000, 5500, 5000,
            4000, 2500, 1500, 1000]  # fmt: skip
PEOPLE = [
    636,
    558,
    609,
    543,
    384,
    594,
    669,
    843,
    660,
    576,
    606,
    522,
    426,
    273,
    300,
    288,
    153,
    123,
    207,
]
BIG = [127, 25, 18, 21, 12, 27, 48, 27, 29, 32, 32, 34, 45, 65, 38, 68, 74, 82, 91]
SMALL = [12, 4, 3, 2, 3, 4, 8, 2, 2, 3, 4, 5, 6, 8, 5, 6, 5, 5, 4]
# The rate of the fifty areas of the funnel together.
BASELINE = 116.1720835e-5


def strata(events):
    given = zip(events, PEOPLE, ESP_2013, strict=True)
    return [Stratum(count, people, standard) for count, people, standard in given]


@pytest.mark.parametrize(
    ("events", "level", "rate"),
    [
        (BIG, 0.95, (10430.247991469423, 9717.709067985681, 11178.94091547925)),
        (BIG, 0.998, (10430.247991469423, 9323.2878802199029, 11620.595999522058)),
        (SMALL, 0.95, (1103.212025300104, 877.455767536709, 1367.0882227251795)),
        (SMALL, 0.998, (1103.212025300104, 763.64203579398793, 1530.0328948244762)),
    ],
)
def test_rates_and_intervals_are_those_of_the_english_public_health_methods(events, level, rate):
    found = directly_standardised(strata(events), level)
    assert [1e5 * each for each in (found.value, found.lower, found.upper)] == pytest.approx(
        rate, rel=1e-12
    )


@pytest.mark.parametrize(
    ("events", "limits"),
    # Rows of the funnel: the rates that are just on the lower and the upper limit of 95%, and of 99.8%,
    # where so many events are seen.
    [
        (1, (20.85059119, 4588.535848, 12.58170943, 116108.569)),
        (10, (63.17010446, 242.2579623, 48.13632908, 392.4043292)),
        (64, (90.97423833, 150.8489426, 80.13121603, 176.629165)),
        (89, (94.40388398, 144.6577644, 84.62000173, 164.9838128)),
        (337, (104.4080273, 129.6459617, 98.44751602, 138.2866346)),
        (1360, (110.158048, 122.6021934, 106.9073359, 126.5084525)),
    ],
)
def test_limits_of_a_rate_are_those_of_fingertips(events, limits):
    for level, low, high in ((0.95, *limits[:2]), (0.998, *limits[2:])):
        lower, _ = rate_limits(BASELINE, events / low * 1e5, level)
        _, upper = rate_limits(BASELINE, events / high * 1e5, level)
        assert 1e5 * lower == pytest.approx(low, rel=1e-5)
        assert 1e5 * upper == pytest.approx(high, rel=1e-5)


# The areas of testdata_funnel_rate_dsr_inputs.csv: events, rate, and on which side of which limits.
AREAS = [
    (2419, 907.6174266, (1, 1)), (2337, 948.5620216, (1, 1)), (2291, 799.9690496, (1, 1)),
    (2242, 852.5637927, (1, 1)), (2218, 868.5358183, (1, 1)), (2159, 769.6242217, (1, 1)),
    (2130, 752.3254955, (1, 0)), (2111, 710.2689402, (0, 0)), (2105, 815.3530325, (1, 1)),
    (2083, 717.7035916, (0, 0)), (2078, 755.8016993, (1, 1)), (2062, 825.9742848, (1, 1)),
    (2061, 702.2972468, (0, 0)), (2033, 785.6210132, (1, 1)), (2033, 743.6763018, (1, 0)),
    (2010, 781.8323058, (1, 1)), (2004, 772.6781064, (1, 1)), (2002, 652.3391553, (-1, -1)),
    (1977, 648.4969973, (-1, -1)), (1944, 727.5777428, (0, 0)), (1932, 625.6551186, (-1, -1)),
    (1922, 688.5582424, (0, 0)), (1912, 662.4465438, (-1, 0)), (1881, 627.1624732, (-1, -1)),
    (1844, 657.1114147, (-1, 0)), (1835, 724.8456714, (0, 0)), (1833, 659.7820553, (-1, 0)),
    (1825, 654.7053631, (-1, -1)), (1816, 624.4435507, (-1, -1)), (1809, 646.7588823, (-1, -1)),
    (1798, 703.1689982, (0, 0)), (1754, 567.9922764, (-1, -1)), (1746, 617.7750715, (-1, -1)),
    (1709, 610.8327232, (-1, -1)), (1694, 608.5089462, (-1, -1)), (1688, 662.3775859, (-1, 0)),
    (1649, 667.6454503, (-1, 0)), (1553, 604.1141693, (-1, -1)), (1332, 469.5645784, (-1, -1)),
]  # fmt: skip


def test_positions_of_areas_are_those_of_fingertips():
    baseline = average([(events, rate / 1e5) for events, rate, _ in AREAS])
    for events, rate, position in AREAS:
        inner, outer = (
            rate_limits(baseline, events / rate * 1e5, level) for level in (0.95, 0.998)
        )
        assert (_side(rate / 1e5, inner), _side(rate / 1e5, outer)) == position, (events, rate)


def test_people_in_the_standard_s_proportions_have_their_own_rate():
    given = [Stratum(events, people, people) for events, people in ((12, 400.0), (3, 600.0))]
    found = directly_standardised(given)
    assert found.value == pytest.approx(15 / 1000)
    assert found.lower < 15 / 1000 < found.upper


def _side(rate, limits):
    return int(rate > limits[1]) - int(rate < limits[0])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([Stratum(9, 100, 50)], "9 events"),
        ([Stratum(10, 100, 50), Stratum(0, 0, 50)], "no people"),
        ([Stratum(10, 100, 0)], "no standard population"),
    ],
)
def test_what_has_no_standardised_rate_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        directly_standardised(given)
