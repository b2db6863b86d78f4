"""Verified reading: from a position to values."""
