"""What the DNS says about a sender's domains, and what it should say."""
