"""Many files as one dataset: which they are, and how their records are read."""
