"""The schema's history, one file a step; run by `fhir_server.store.migrate`."""
