"""What a record consists of once its values are encoded: the form between schema and frames."""

from __future__ import annotations

from typing import Any

Numbers = list[Any]
"""The numbers of a head, presence bytes behind them, as `HeadLayout.pack` takes them."""

Payloads = list[bytes | None]
"""The payloads in the order of their fields; None where a value is None."""

Encoded = tuple[Numbers, Payloads]
