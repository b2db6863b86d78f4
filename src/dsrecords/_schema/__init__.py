"""Which fields a sample has: stated, inferred, or read from a header."""
