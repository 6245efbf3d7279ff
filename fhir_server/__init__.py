"""The shell: HTTP, MLLP, interactions, operations, access and storage around the FHIR libraries."""
