"""The FHIR interactions, one file each; `transaction` is the only door through which anything is written.

https://hl7.org/fhir/R4/http.html
"""
