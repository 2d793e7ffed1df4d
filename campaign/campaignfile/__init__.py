"""YAML → CampaignFile, or every problem in it at once, each with its place."""
