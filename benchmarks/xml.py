"""Microseconds to read and to write one resource as XML and as JSON, beside fhir.resources (R4B).

`python -m benchmarks.xml`. What XML costs more than JSON is what an `Accept` header decides.
"""

from functools import partial

from fhir.resources.R4B import get_fhir_model_class

from benchmarks import records
from benchmarks.timing import fastest
from r4 import json, xml
from r4.json import Resource

RESOURCES = {
    "Patient": records.PATIENT,
    "Observation": records.OBSERVATION,
    "Procedure": records.PROCEDURE,
    "QuestionnaireResponse, 100": records.RESPONSE,
}


def main() -> None:
    """Print one line for each resource: best of several runs; sizes in bytes, compact."""
    columns = ("xml bytes", "decode", "encode", "json bytes", "decode", "encode", "R4B decode")
    print(f"{'':26}" + "".join(f"{column:>11}" for column in columns))
    bundle: Resource = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": each} for each in RESOURCES.values()] * 5,
    }
    for name, resource in {**RESOURCES, "Bundle of 20": bundle}.items():
        in_xml, in_json = xml.encode(resource), json.encode(resource)
        if xml.decode(in_xml) != resource:
            raise SystemExit(f"{name} is another after a round trip")
        model = get_fhir_model_class(resource["resourceType"])
        found = fastest(
            {
                "xml decode": partial(xml.decode, in_xml),
                "xml encode": partial(xml.encode, resource),
                "json decode": partial(json.decode, in_json),
                "json encode": partial(json.encode, resource),
                "R4B decode": partial(model.model_validate_xml, in_xml),
            }
        )
        read, written, *others = found.values()
        figures = (len(in_xml), read, written, len(in_json), *others)
        print(f"{name:26}" + "".join(f"{figure:11,.1f}" for figure in figures))


if __name__ == "__main__":
    main()
