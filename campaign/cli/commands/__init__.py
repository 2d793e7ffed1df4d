"""One module for each command: its arguments, its questions, its words."""
