"""Microseconds per evaluation of typical FHIRPath expressions over the standard's own examples.

`python -m benchmarks.fhirpath`; beside fhirpathpy where that is installed.
"""

import importlib
from collections.abc import Callable
from timeit import repeat
from typing import Any

from r4 import fhirpath
from r4.definitions import build

LOOPS = 5_000
ROUNDS = 5
EXPRESSIONS = [
    ("Patient.name.given", "Patient-example"),
    ("Patient.telecom.where(system = 'phone').value", "Patient-example"),
    ("Patient.contact.all(name.exists() or telecom.exists())", "Patient-example"),
    ("Observation.value as Quantity", "Observation-example"),
    ("(Observation.value as Quantity).value > 100", "Observation-example"),
    ("Observation.subject.where(resolve() is Patient)", "Observation-example"),
]


def main() -> None:
    examples = _examples({name for _, name in EXPRESSIONS})
    print("us per evaluation: values, values with types, fhirpathpy")
    for expression, name in EXPRESSIONS:
        resource = examples[name]
        compiled = fhirpath.compile(expression)
        figures = [
            f"{_microseconds(compiled, resource, LOOPS):8.1f}",
            f"{_microseconds(compiled.typed, resource, LOOPS):8.1f}",
            _other(expression, resource),
        ]
        print(" ".join(figures), expression)


def _microseconds(call: Callable[[Any], Any], resource: Any, loops: int) -> float:
    call(resource)
    return min(repeat(lambda: call(resource), number=loops, repeat=ROUNDS)) / loops * 1e6


def _other(expression: str, resource: Any) -> str:
    try:
        engine = importlib.import_module("fhirpathpy")
        model = importlib.import_module("fhirpathpy.models").models["r4"]
    except ImportError:
        return f"{'-':>8}"
    return f"{_microseconds(engine.compile(expression, model), resource, LOOPS // 50):8.1f}"


def _examples(names: set[str]) -> dict[str, Any]:
    package = build.fetch(build.DOWNLOADS)
    found = {}
    for resource in build.resources(package):
        name = f"{resource['resourceType']}-{resource.get('id')}"
        if name in names:
            found[name] = resource
    return found


if __name__ == "__main__":
    main()
