"""The commands of `python -m fhir_server`, one file each."""
