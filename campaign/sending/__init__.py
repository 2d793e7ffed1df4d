"""The main job: from a prepared list to answers in the ledger."""
