"""Statistics: small, exact, on numbers only; nothing here knows FHIR."""
