"""The ledger as one SQLite file. Nothing outside this package knows SQLite."""
