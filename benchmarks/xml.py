"""Microseconds to read and to write one resource as XML and as JSON, beside fhir.resources (R4B).

`python -m benchmarks.xml`. What XML costs more than JSON is what an `Accept` header decides.
"""

from fhir.resources.R4B import get_fhir_model_class

from benchmarks.validate import RESOURCES, best
from r4 import json, xml
from r4.json import Resource


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
        figures = (
            len(in_xml),
            best(lambda text=in_xml: xml.decode(text)),
            best(lambda resource=resource: xml.encode(resource)),
            len(in_json),
            best(lambda text=in_json: json.decode(text)),
            best(lambda resource=resource: json.encode(resource)),
            best(lambda text=in_xml, model=model: model.model_validate_xml(text)),
        )
        print(f"{name:26}" + "".join(f"{figure:11,.1f}" for figure in figures))


if __name__ == "__main__":
    main()
