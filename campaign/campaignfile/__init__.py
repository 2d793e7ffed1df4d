"""Read and validate the campaign file (YAML); all problems are reported together, with their places."""
