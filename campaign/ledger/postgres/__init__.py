"""A ledger in PostgreSQL, which several machines can send from."""
