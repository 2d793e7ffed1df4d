"""Template sources → compiled texts and conditions, in a sandbox."""
