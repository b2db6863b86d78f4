"""A server that answers as the Hugging Face Hub does, as far as files are read. For tests."""

import json
import threading
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

REPOSITORY = "somebody/numbers"


class Hub:
    """A hub with one repository of data.

    Attributes:
        url: of the server.
        files: bytes, by path in the repository.
        requests: (path, bytes sent) of each answer.
    """

    def __init__(self):
        self.files = {}
        self.requests = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        thread.start()

    def close(self):
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

    def listing(self):
        """What the hub says of its files."""
        return [
            {"type": "file", "path": path, "size": len(data), "oid": sha1(data).hexdigest()}
            for path, data in self.files.items()
        ]


def _handler_of(hub):
    api = f"/api/datasets/{REPOSITORY}"
    files = f"/datasets/{REPOSITORY}/resolve/main/"

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments):
            """Say nothing."""

        def do_GET(self):
            path = self.path.partition("?")[0]
            if path.startswith(f"{api}/tree/main"):
                self._answer(200, json.dumps(hub.listing()).encode(), {})
            elif path in (api, f"{api}/revision/main"):
                about = {"id": REPOSITORY, "sha": "0" * 40, "private": False, "tags": []}
                self._answer(200, json.dumps(about).encode(), {})
            elif path.startswith(files):
                self._answer_file(path.removeprefix(files))
            else:
                self._answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})

        do_HEAD = do_GET  # noqa: N815

        def _answer_file(self, name):
            data = hub.files.get(name)
            if data is None:
                self._answer(404, b"", {"X-Error-Code": "EntryNotFound"})
                return
            headers = {"ETag": f'"{sha1(data).hexdigest()}"'}
            asked = self.headers.get("Range")
            if asked is None:
                self._answer(200, data, headers)
                return
            first, last = asked.removeprefix("bytes=").split("-")
            part = data[int(first) : int(last) + 1]
            headers["Content-Range"] = f"bytes {first}-{int(first) + len(part) - 1}/{len(data)}"
            self._answer(206, part, headers)

        def _answer(self, status, body, headers):
            hub.requests.append((self.path, len(body)))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    return Handler
