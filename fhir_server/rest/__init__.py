"""The HTTP door: routes, what may be sent and asked for, and how a refusal is said.

https://hl7.org/fhir/R4/http.html
"""
