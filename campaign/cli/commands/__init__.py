"""One module for each command: its options, questions and output."""
