"""What is done with a whole dataset: `check` it, `repair` it."""
