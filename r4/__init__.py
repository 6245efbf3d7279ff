"""FHIR R4 as a language: JSON, issues, references, dates, definitions and FHIRPath; no I/O of its own.

https://hl7.org/fhir/R4/
"""
