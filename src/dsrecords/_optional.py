"""Import of optional packages, at the moment when they are needed. Knows no other module."""

from __future__ import annotations

import importlib
from typing import Any


def import_optional(
    module: str,
    package: str,
    *,
    extra: str | None = None,
) -> Any:
    """Import a module of an optional package.

    Args:
        module: its name.
        package: what has it, on PyPI.
        extra: of this library, which brings the package at a version that goes with it.

    Raises:
        ImportError: the package is not installed; the message states how to install it.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        wanted = package
        if extra is not None:
            wanted = f"'dsrecords[{extra}]'"
        message = f"this needs the package {package}: pip install {wanted}"
        raise ImportError(message, name=module) from None
