"""Mail for a list of people: once each, on time, and looking right."""

__version__ = "0.1.0"
