"""A proxy before an HTTP server that counts requests, and fails where it is told to. For tests."""

import contextlib
import http.client
import random
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

KINDS = ("500", "503", "429", "cut", "reset", "slow", "empty")
_HOP_BY_HOP = {"connection", "transfer-encoding", "keep-alive", "server", "date"}


class Request(NamedTuple):
    """What was asked of the server.

    Attributes:
        method: of the request.
        path: of the object, with the query.
        sent: bytes of the answer's body that were sent.
    """

    method: str
    path: str
    sent: int


class Faults:
    """Which requests fail: each with a probability, in an order that a seed tells.

    Args:
        seed: of the order.
        share: of the requests that fail.
        kinds: of the failures.
    """

    def __init__(self, seed=0, share=0.0, kinds=KINDS):
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self.share = share
        self.kinds = kinds
        self.planted = 0

    def next(self):
        """The kind of the next failure; None if the next request succeeds."""
        with self._lock:
            if self._random.random() >= self.share:
                return None
            self.planted += 1
            return self._random.choice(self.kinds)


class Proxy:
    """A server that forwards requests.

    Args:
        port: of the server behind.

    Attributes:
        url: of the proxy.
        requests: what was asked for.
        faults: which requests fail.
        has_closed: whether it serves no more.
        unsigned: how many requests had no signature.
    """

    def __init__(self, port):
        self.port = port
        self.requests = []
        self.faults = Faults()
        self.has_closed = threading.Event()
        self.unsigned = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._server.daemon_threads = True
        self._server.handle_error = lambda *arguments: None  # clients hang up at what is planted
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        thread.start()

    def close(self):
        """Stop serving."""
        self.has_closed.set()
        self._server.shutdown()
        self._server.server_close()

    def of(self, ending):
        """The requests of bytes of objects whose names end so."""
        return [each for each in self.requests if each.path.partition("?")[0].endswith(ending)]

    def forget(self):
        """Forget what was asked for."""
        self.requests.clear()
        self.unsigned = 0


def _handler_of(proxy):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments):
            """Say nothing."""

        def _forward(self):
            length = int(self.headers.get("Content-Length", 0))
            body = self.rfile.read(length)
            proxy.unsigned += "Authorization" not in self.headers
            fault = proxy.faults.next()
            if fault in ("500", "503", "429", "403"):
                proxy.requests.append(Request(self.command, self.path, 0))
                self._answer(int(fault), {}, b"<Error>planted</Error>")
                return
            if fault == "reset":
                proxy.requests.append(Request(self.command, self.path, 0))
                self._hang_up()
                return
            if fault == "hang":
                proxy.requests.append(Request(self.command, self.path, 0))
                proxy.has_closed.wait(60)  # longer than a client of the tests waits
                self._hang_up()
                return
            if fault == "slow":
                time.sleep(0.02)
            behind = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=60)
            with contextlib.closing(behind):
                headers = dict(self.headers)
                behind.request(self.command, self.path, body, headers)
                answer = behind.getresponse()
                data = answer.read()
            sent = len(data)
            if fault == "cut" and sent:
                sent //= 2
            if fault == "empty" and self.command == "GET":
                sent = 0
            proxy.requests.append(Request(self.command, self.path, sent))
            self._answer(answer.status, dict(answer.getheaders()), data, sent)

        def _answer(self, status, headers, data, sent=None):
            self.send_response(status)
            stated = {name.lower(): value for name, value in headers.items()}
            for name, value in headers.items():
                if name.lower() not in _HOP_BY_HOP:
                    self.send_header(name, value)
            if "content-length" not in stated:
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command == "HEAD":
                return
            if sent is None or sent == len(data):
                self.wfile.write(data)
                return
            self.wfile.write(data[:sent])
            self.wfile.flush()
            self._hang_up()

        def _hang_up(self):
            self.close_connection = True
            no_wait = struct.pack("ii", 1, 0)
            with contextlib.suppress(OSError):
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_wait)
                self.connection.shutdown(socket.SHUT_RDWR)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _forward  # noqa: N815 - as http.server wants

    return Handler
