"""Before anything leaves: what is read, what must be agreed to, and what `check` learns and asks."""
