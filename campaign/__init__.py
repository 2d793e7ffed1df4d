"""campaign: a command that mails a message to each person on a list, once."""

__version__ = "0.1.0"
