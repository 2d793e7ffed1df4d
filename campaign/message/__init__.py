"""CampaignFile + Recipient → Message: fields, bodies, MIME, signature."""
