"""The ledger in one SQLite file: all that knows SQLite."""
