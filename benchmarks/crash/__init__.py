"""HL7 v2 over MLLP while the server and its writer are killed: none lost, none doubled.

`python -m benchmarks.crash --help` lists the options.
"""
