"""DSRecords with a list of types instead of named ones: a record is a tuple.

Asked about numbers and strings only, where building a dict instead of a tuple shows.
"""

from .base import NotSupportedError
from .ours import Adapter as Ours


class Adapter(Ours):
    """Our files without names."""

    title = "DSRecords, tuples"
    named = False

    def write(self, records):
        if self.workload == "small":
            self.write_columns(records)
        elif self.workload == "strings":
            self.write_rows(records)
        else:
            raise NotSupportedError("asked about numbers and strings only")

    def write_columns(self, records):
        with self._create() as data:
            data.extend_columns(list(records.columns().values()))

    def batch(self, indices):
        return dict(zip(self.names, self.data.batch(indices), strict=True))
