"""Combining: union and combine.

https://hl7.org/fhirpath/N1/#combining
"""

from r4.fhirpath.function import with_collection
from r4.fhirpath.operators import distinct

FUNCTIONS = {
    "union": with_collection(lambda items, others: distinct(items + others)),
    "combine": with_collection(lambda items, others: items + others),
}
