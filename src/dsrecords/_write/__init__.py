"""Durable writing: from samples to files."""
