"""What columns of a batch are told apart by."""

from __future__ import annotations

Key = str | int | None
"""A field's name, its position where fields have no names, None where samples are single values."""
