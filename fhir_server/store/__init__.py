"""The database, and nothing else: tables, the one commit, the index, reads and the inbox."""
