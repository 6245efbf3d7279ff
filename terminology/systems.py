"""The canonical URIs of identifier and code systems, each named once.

Sources: HL7 UK NamingSystem registry; UK Core; FHIR R4 terminologies-systems page. OPCS-4 has no
registered URI: the form below is canonical here, the variants seen in traffic are aliases.
"""

CSOR = "https://csor.example/fhir"
"""Canonical base of our own artefacts (a reserved name until the registry has its own; ADR 0003)."""

NHS_NUMBER = "https://fhir.nhs.uk/Id/nhs-number"
CHI_NUMBER = "https://fhir.nhs.uk/Id/chi-number"
ODS_ORGANIZATION = "https://fhir.nhs.uk/Id/ods-organization-code"
ODS_SITE = "https://fhir.nhs.uk/Id/ods-site-code"
GMC_NUMBER = "https://fhir.hl7.org.uk/Id/gmc-number"

SNOMED_CT = "http://snomed.info/sct"
LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
ICD_10 = "http://hl7.org/fhir/sid/icd-10"
BCP_13 = "urn:ietf:bcp:13"
BCP_47 = "urn:ietf:bcp:47"
OPCS_4 = "https://fhir.hl7.org.uk/CodeSystem/OPCS-4"

ALIASES = {
    "http://hl7.org/fhir/sid/icd-10-uk": ICD_10,
    "http://fhir.hl7.org.uk/CodeSystem/OPCS-4": OPCS_4,
    "https://fhir.hl7.org.uk/Id/opcs-4": OPCS_4,
    "https://fhir.nhs.uk/Id/ods-organisation-code": ODS_ORGANIZATION,
    "https://fhir.hl7.org.uk/Id/ODS-code": ODS_ORGANIZATION,
}

LOADED_AS = {
    SNOMED_CT: "snomed",
    OPCS_4: "opcs4",
    ICD_10: "icd10",
    ODS_ORGANIZATION: "ods",
    LOINC: "loinc",
}
"""What `load-terminology` calls the systems whose releases it reads."""

_ISO = "urn:iso:std:iso"
_AREAS = "http://unstats.un.org/unsd/methods/m49/m49.htm"
WELL_KNOWN = frozenset(
    {*LOADED_AS, UCUM, BCP_13, BCP_47, ODS_SITE, _AREAS}
    | {f"{_ISO}:{number}" for number in ("3166", "3166:-2", "4217")}
)
"""Systems whose codes stand in no resource: they are loaded, or they cannot be checked."""

CASE = f"{CSOR}/sid/case"
"""Identifier of a registry case: `<NHS or CHI number, or ODS:MRN>.<condition code>`."""

MESSAGE = f"{CSOR}/sid/message"
"""Identifier of an inbound message: `<ODS code>:<MSH-10>`."""


def local(ods: str, kind: str) -> str:
    """Return the identifier system for numbers that one hospital gives out ("mrn", "visit", …)."""
    return f"{CSOR}/sid/{ods}/{kind}"
