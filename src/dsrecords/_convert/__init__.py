"""Converters: datasets of other formats into ours, and ours into theirs; one file a format."""
