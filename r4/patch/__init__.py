"""The patch formats of FHIR R4: JSON Patch, FHIRPath Patch, XML Patch. Each has one `apply`.

An `apply` returns the patched resource and never changes its arguments. It raises FhirError: 400
for a patch that is not well-formed, 422 for one that cannot be applied to this resource. Whether
the outcome is a valid resource is for the caller to check.

https://hl7.org/fhir/R4/http.html#patch
"""
