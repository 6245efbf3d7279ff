"""FHIR R4 as a language: JSON, issues, references, dates, definitions and FHIRPath. No I/O but its own data files.

https://hl7.org/fhir/R4/
"""
