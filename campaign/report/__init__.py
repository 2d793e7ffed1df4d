"""Show the state of a campaign: `terminal` as text, `table` as CSV, `machine` as JSON, `page` as HTML."""
