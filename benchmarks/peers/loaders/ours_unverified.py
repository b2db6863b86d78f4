"""As `ours`, but nothing is verified."""

from . import ours


class Adapter(ours.Adapter):
    """The same files."""

    title = "DSRecords, unverified"
    verify = False
