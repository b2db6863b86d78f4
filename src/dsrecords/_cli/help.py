"""The page of `dsrecords --help`. It fits on a screen of 24 lines of 80 characters."""

from __future__ import annotations

from collections.abc import Mapping

LOOK = "Look"
MAKE = "Make another file"
CARE = "Care for it"
SECTIONS = (LOOK, MAKE, CARE)
_WIDTH = 39  # of one of two columns
_NAME = 9

_BEGIN = """\
Usage: dsrecords COMMAND FILE [OPTIONS]

  dsrecords info train.rec                     what is in it
  dsrecords head train.rec                     its first samples
  dsrecords select train.rec 'label == 3'      the samples that fit
  dsrecords check train.rec                    is each byte what was written?

"""
_END = """
FILE is one file, 'train-*.rec', a folder, or a manifest, train.json.
`dsrecords COMMAND --help` says more. Everywhere: --debug shows tracebacks.
"""


def page(sections: Mapping[str, Mapping[str, str]]) -> str:
    """Return the page.

    Args:
        sections: by their names, the commands, and what each does in a few words.
    """
    lines = []
    for section in SECTIONS:
        commands = sections.get(section, {})
        lines.append(f"{section}:")
        entries = [f"  {name:<{_NAME}}{words}" for name, words in commands.items()]
        half = (len(entries) + 1) // 2
        for k in range(half):
            line = entries[k].ljust(_WIDTH)
            if half + k < len(entries):
                line += entries[half + k]
            lines.append(line.rstrip())
    return _BEGIN + "\n".join(lines) + "\n" + _END
