"""As `ours`, but batches are tensors."""

from . import ours


class Adapter(ours.Adapter):
    """The same files."""

    title = 'DSRecords, format="torch"'
    format = "torch"
