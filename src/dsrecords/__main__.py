"""`python -m dsrecords` is the command `dsrecords`."""

import sys

from dsrecords._cli.main import script

sys.exit(script())
