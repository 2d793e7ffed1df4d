"""Ledger rows → what people and programs read: `terminal` a table, `table` CSV, `machine` JSON."""
