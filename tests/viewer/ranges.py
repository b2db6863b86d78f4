"""A server of ranges in a thread, as that of a bucket is: another origin, which allows pages to ask."""

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

RANGE = re.compile(r"bytes=(\d+)-(\d+)")


class Bucket:
    """Files of a folder, by ranges.

    Args:
        folder: of the files.
        allows_pages: whether pages of other origins may read them.

    Attributes:
        address: that all of them begin with.
        asked: of each answer the name and the number of bytes.
    """

    def __init__(self, folder, allows_pages=True):
        bucket = self
        self.asked = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_OPTIONS(self):
                self.send(204, b"", {"Access-Control-Allow-Headers": "Range"})

            def do_GET(self):
                path = folder / self.path.lstrip("/").split("?")[0]
                if not path.is_file():
                    self.send(404, b"", {})
                    return
                size = path.stat().st_size
                start, last = map(int, RANGE.fullmatch(self.headers["Range"]).groups())
                with path.open("rb") as file:
                    file.seek(start)
                    body = file.read(min(last + 1, size) - start)
                bucket.asked.append((path.name, len(body)))
                stop = start + len(body) - 1
                self.send(206, body, {"Content-Range": f"bytes {start}-{stop}/{size}"})

            def send(self, status, body, headers):
                self.send_response(status)
                if allows_pages:
                    self.send_header("Access-Control-Allow-Origin", "*")
                self.send_header("Access-Control-Expose-Headers", "Content-Range, ETag")
                self.send_header("Content-Length", str(len(body)))
                self.send_header("ETag", '"1"')
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
