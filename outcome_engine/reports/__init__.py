"""Outcomes as FHIR MeasureReports, with small numbers withheld."""
