"""The viewer: a page in the browser that reads the files itself, and the server of these files."""

from __future__ import annotations

from dsrecords.viewer.server import serve

__all__ = ["serve"]
