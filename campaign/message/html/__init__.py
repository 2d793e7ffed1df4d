"""An HTML body: its source, its styles, its images, and the text part made from it."""
