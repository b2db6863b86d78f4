"""`dsrecords view` in a process of its own, as pages and tests ask it."""

import contextlib
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request

from conftest import SOURCE

PATIENCE = 120_000  # milliseconds that anything may take: machines may be slow


def command(*arguments):
    """`dsrecords view` as the command of a process."""
    code = f"import sys; sys.path.insert(0, {str(SOURCE)!r})\nfrom dsrecords._cli.main import script\nsys.exit(script())"
    return [sys.executable, "-c", code, "view", *map(str, arguments), "--no-browser"]


def environment_of(more):
    """The environment of such a process: nothing that this one knows of buckets."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return kept | more


class Server:
    """`dsrecords view` in a process of its own.

    Attributes:
        address: that it prints.
    """

    def __init__(self, *arguments, **environment):
        self.process = subprocess.Popen(
            command(*arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment_of(environment),
        )
        self.address = self.process.stdout.readline().strip()
        assert self.address.startswith("http://127.0.0.1:"), self.process.stderr.read()

    def stop(self):
        """Interrupt it. Returns its exit code."""
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=120)
        return self.process.returncode


@contextlib.contextmanager
def shown(page, *arguments, **environment):
    """Another server, whose first dataset the page shows."""
    server = Server(*arguments, **environment)
    try:
        yield opened(page, server)
    finally:
        page.goto("about:blank")
        assert server.stop() == 0


def opened(page, server, file=0, more=""):
    page.goto(f"{server.address}#file={file}{more}")
    page.reload()
    page.locator("#count", has_text="records").wait_for()
    return page


def answer(address, **headers):
    request = urllib.request.Request(address, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=120) as response:
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()
