"""The operations, one file for each `$operation`; HL7 v2's ProcessMessage among them.

https://hl7.org/fhir/R4/operations.html
"""
