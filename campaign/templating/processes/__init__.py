"""Runs templates in separate processes, under limits that the kernel enforces."""
