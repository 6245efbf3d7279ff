"""Resources flattened to rows by SQL on FHIR's ViewDefinitions.

`view` reads a definition, `rows` gives what the specification says, `compiled` the same more quickly,
`duckdb` writes it as SQL. See docs/views.md.

https://sql-on-fhir.org/ig/latest/
"""
