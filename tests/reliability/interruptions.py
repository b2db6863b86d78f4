"""What comes between two instructions of the library, at each of them in turn.

An exception, as Ctrl-C or a lack of memory raises it; or a call, as that of a signal handler.
"""

import gc
import os
import sys
from pathlib import Path

import dsrecords

SOURCE = str(Path(dsrecords.__file__).parent)


class Interrupt(BaseException):
    """What is raised; nothing of the library or the tests catches it by its class."""


def interrupt():
    raise Interrupt


class Between:
    """Within a `with` statement, calls a function before the opcode with this number.

    Args:
        number: counted from 0, of the opcodes that run in the library's own code.
        call: the function; by default one that raises `Interrupt`.

    Attributes:
        happened: whether the opcode was reached.
    """

    def __init__(self, number, call=interrupt):
        self.left = number
        self.call = call
        self.happened = False

    def __enter__(self):
        self.before = sys.gettrace()
        sys.settrace(self.enter)
        return self

    def __exit__(self, *exception):
        sys.settrace(self.before)

    def enter(self, frame, event, argument):
        if self.happened or not frame.f_code.co_filename.startswith(SOURCE):
            return None
        frame.f_trace_lines = False
        frame.f_trace_opcodes = True
        return self.step

    def step(self, frame, event, argument):
        if event == "opcode" and not self.happened:
            self.left -= 1
            if self.left < 0:
                self.happened = True
                self.call()
        return self.step


def descriptors():
    """How many this process has, once nothing is left that could hold one by accident."""
    gc.collect()
    return len(os.listdir("/proc/self/fd"))
