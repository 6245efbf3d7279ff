"""What hospitals send, to FHIR transaction Bundles: tables, and the interpreter that runs them."""
