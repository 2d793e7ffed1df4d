"""What is odd about a campaign that could be sent: one file per rule, whose docstring explains it."""
