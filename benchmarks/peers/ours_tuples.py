"""DSRecords with a list of types instead of named ones: a record is a tuple.

Asked about small records only, where building a dict instead of a tuple shows.
"""

from .base import NotSupportedError
from .ours import Adapter as Ours


class Adapter(Ours):
    """Our files without names."""

    title = "DSRecords, no names"
    named = False

    def write(self, records):
        if self.workload != "small":
            raise NotSupportedError("asked about small records only")
        super().write(records)

    def write_columns(self, records):
        with self._create() as data:
            data.extend_columns(list(records.columns().values()))

    def batch(self, indices):
        return dict(zip(self.names, self.data.batch(indices), strict=True))
