"""Where workers send: what travels to them, the campaign made of it, and a worker's share."""
