"""Datasets read and written by Ray Data, by as many machines as there are.

    ray_dataset = dsrecords.ray.read("train.json", fields=["image", "label"])
    dsrecords.ray.write(ray_dataset, "/shared/copy.rec")

The package ray is needed when this module is imported.
"""

from __future__ import annotations

from dsrecords._optional import import_optional

# So that its absence is told of here.
import_optional("ray", "ray", extra="ray")
import_optional("ray.data", "ray", extra="ray")

from dsrecords.ray.datasink import Datasink, write  # noqa: E402
from dsrecords.ray.datasource import Datasource, read  # noqa: E402

__all__ = ["Datasink", "Datasource", "read", "write"]
