"""What is done with a whole dataset: checking and repairing."""
