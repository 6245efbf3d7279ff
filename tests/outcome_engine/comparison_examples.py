"""What tests of comparison look at: the babies operated on from 1991 to 1995, with what was expected."""

from tests.outcome_engine.published import HEART_1991

HOSPITALS = {name: (deaths, operations) for name, (operations, deaths) in HEART_1991.items()}
DEATHS = [deaths for deaths, _ in HOSPITALS.values()]
OPERATIONS = [operations for _, operations in HOSPITALS.values()]
RATE = sum(DEATHS) / sum(OPERATIONS)
EXPECTED = [operations * RATE for operations in OPERATIONS]
VARIANCE = [expected * (1 - RATE) for expected in EXPECTED]
