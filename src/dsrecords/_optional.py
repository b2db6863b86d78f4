"""Import of optional packages, at the moment when they are needed. Knows no other module."""

from __future__ import annotations

import importlib
from typing import Any


def import_optional(module: str, package: str) -> Any:
    """Import a module of an optional package.

    Raises:
        ImportError: the package is not installed; the message states how to install it.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        message = f"this needs the package {package}: pip install {package}"
        raise ImportError(message, name=module) from None
