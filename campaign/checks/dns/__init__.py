"""`check --dns`: look up the DNS records of a sender's domains, and report what is wrong or missing."""
