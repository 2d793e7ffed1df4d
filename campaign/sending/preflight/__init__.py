"""Before anything is sent: reading the campaign, guards, questions to the person, and what `check` does."""
