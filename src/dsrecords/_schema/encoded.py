"""What a record consists of once its values are encoded: the form between schema and frames."""

from __future__ import annotations

from typing import Any

# The numbers of the head, presence bytes behind them, as `HeadLayout.pack` takes them; and the
# payloads in the order of their fields, where None is a missing value.
Encoded = tuple[list[Any], list[bytes | None]]
