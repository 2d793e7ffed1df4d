"""The ledger in PostgreSQL, from which several machines can send."""
