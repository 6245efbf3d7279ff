"""Search: which parameters there are, how a value becomes a key, and how a query becomes SQL.

https://hl7.org/fhir/R4/search.html
"""
