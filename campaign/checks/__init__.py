"""Rules that find what looks wrong in a campaign that could be sent; each file in `rules/` is one rule."""
