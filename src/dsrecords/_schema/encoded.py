"""What a record consists of once its values are encoded: the form between schema and frames."""

from __future__ import annotations

import dataclasses
from typing import Any

from dsrecords._format.frame import Kept

Numbers = list[Any]
"""The numbers of a head, presence bytes behind them, as `HeadLayout.pack` takes them."""

Payloads = list[bytes | None]
"""The payloads in the order of their fields; None where a value is None."""

Encoded = tuple[Numbers, Payloads]


@dataclasses.dataclass(slots=True)
class Revised:
    """A record some of whose payloads stay where they are.

    Attributes:
        numbers: all of them.
        payloads: the new ones, and where the others are.
    """

    numbers: Numbers
    payloads: list[bytes | Kept | None]
