"""The viewer's server: the page, and ranges of the files that were named, for this computer alone.

It listens on the loopback; its address has a random token; requests that name another host are
refused, so that no other page can reach it by a name of its own (DNS rebinding).
"""

from __future__ import annotations

import contextlib
import hmac
import itertools
import re
import secrets
import socket
import webbrowser
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dsrecords._optional import import_optional
from dsrecords.errors import DSRecordsError
from dsrecords.viewer.bytes_of_files import Bytes, Ranges
from dsrecords.viewer.changing import HEADERS, Changing
from dsrecords.viewer.editing import Edits
from dsrecords.viewer.served import Served, is_elsewhere, served
from dsrecords.viewer.steps import Step, read_steps

_PAGE = Path(__file__).with_name("viewer.html")
_LOOPBACK = "127.0.0.1"
_RANGE = re.compile(r"bytes=(\d{1,15})-(\d{0,15})")
_POLICY = re.compile(r'http-equiv="Content-Security-Policy" content="([^"]*)"')
_CONNECT = "connect-src 'self' http: https:"
_FRAMES = "frame-ancestors http://127.0.0.1:* http://localhost:* vscode-webview:"


class Site(NamedTuple):
    """What a server has to offer.

    Attributes:
        found: what is shown.
        steps: of training, whose samples can be shown.
        edits: how changes are made and views saved; None: the page can do neither.
        is_editable: whether changes may be made.
    """

    found: Served
    steps: Sequence[Step] = ()
    edits: Edits | None = None
    is_editable: bool = False


def serve(
    names: Sequence[str],
    *,
    open_dataset: Callable[..., Any],
    view: str | None = None,
    step_file: str | None = None,
    edit: bool = False,
    port: int = 0,
    browser: bool = True,
    tell: Callable[[str], object] = print,
) -> None:
    """Serve the page and some files until the process is interrupted.

    Args:
        names: files, patterns, folders, manifests, URLs.
        open_dataset: `dsrecords.open`, for what is changed and for views that are saved.
        view: path of a saved view, which is shown of the first name.
        step_file: path of a file of steps: see `steps.read_steps`.
        edit: whether the page may change scalars and strings.
        port: of the loopback; 0: one that is free.
        browser: whether to open the browser.
        tell: is given the address, once it can be asked for.

    Raises:
        FileNotFoundError: a name means no file.
        ValueError: the file of steps is none, or a view is given of many files.
        ImportError: starlette or uvicorn is not installed.
        OSError: the port is taken.
        RemoteError: the server of a file elsewhere does not answer as it should.
    """
    found = served(names, view)
    _require_reachable(found)
    steps = read_steps(step_file) if step_file is not None else []
    with contextlib.closing(Edits(found, open_dataset)) as edits:
        running = Running(Site(found, steps, edits, edit), port)
        tell(running.address)
        if browser:
            webbrowser.open(running.address)
        with contextlib.suppress(KeyboardInterrupt):
            running.run()


def _require_reachable(found: Served) -> None:
    """Raise the error of the first data file elsewhere that cannot be opened."""
    for sources in found.sources:
        for path in filter(is_elsewhere, sources):
            Bytes().opened(path).close()


class Running:
    """A server that listens on a port of the loopback, and answers once `run` is called.

    Attributes:
        address: of the page.
    """

    def __init__(self, site: Site, port: int = 0) -> None:
        uvicorn = import_optional("uvicorn", "uvicorn", extra="view")
        self._listener = socket.socket()
        try:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind((_LOOPBACK, port))
            port = self._listener.getsockname()[1]
            token = secrets.token_urlsafe(24)
            application = make_application(site, token, port)
            config = uvicorn.Config(application, log_level="warning", access_log=False)
            self._server = uvicorn.Server(config)
            self._listener.listen()
        except BaseException:
            self._listener.close()
            raise
        self.address = f"http://{_LOOPBACK}:{port}/{token}/"

    def run(self) -> None:
        """Answer until the process is interrupted, or `stop` is called."""
        with self._listener:
            self._server.run(sockets=[self._listener])

    def stop(self) -> None:
        """Let `run` end, soon. Threads may call it."""
        self._server.should_exit = True


def make_application(
    site: Site,
    token: str,
    port: int,
) -> Any:
    """Return the server as an ASGI application.

    Args:
        site: what is served.
        token: that each address begins with.
        port: that requests name.
    """
    starlette = import_optional("starlette.applications", "starlette", extra="view")
    routing = import_optional("starlette.routing", "starlette", extra="view")
    handlers = _Handlers(site, token, port)
    changing = Changing(site.edits, site.is_editable, handlers.refused)
    routes = [
        routing.Route("/{token}/", handlers.page),
        routing.Route("/{token}/files.json", handlers.files),
        routing.Route("/{token}/steps/{number:int}.json", handlers.step),
        routing.Route("/{token}/data/{name:path}", handlers.data),
        routing.Route("/{token}/{action:str}", changing.act, methods=["POST"]),
    ]
    return starlette.Starlette(routes=routes)


class _Handlers:
    """What is answered, each only to those who know the token."""

    def __init__(
        self,
        site: Site,
        token: str,
        port: int,
    ) -> None:
        self._site = site
        self._token = token.encode()
        self._hosts = {f"{_LOOPBACK}:{port}", f"localhost:{port}"}
        self._responses = import_optional("starlette.responses", "starlette", extra="view")
        self._bytes = Bytes()
        self._html = _PAGE.read_bytes()
        self._policy = _policy(self._html.decode(), site.found.origins)

    def page(self, request: Any) -> Any:
        """The page, whatever is asked behind it."""
        refused = self.refused(request)
        if refused is not None:
            return refused
        headers = {**HEADERS, "Content-Security-Policy": self._policy}
        return self._responses.HTMLResponse(self._html, headers=headers)

    def files(self, request: Any) -> Any:
        """What is shown: see `Served.shown`; the names of steps, and what the page may do."""
        refused = self.refused(request)
        if refused is not None:
            return refused
        site = self._site
        answer: dict[str, Any] = {
            "files": site.found.shown,
            "steps": [step.name for step in site.steps],
            "edit": site.is_editable,
            "changes": None,
        }
        if site.edits is not None:
            answer["changes"] = site.edits.state()
        return self._responses.JSONResponse(answer, headers=HEADERS)

    def step(self, request: Any) -> Any:
        """The indices of a step."""
        refused = self.refused(request)
        if refused is not None:
            return refused
        number = request.path_params["number"]
        if number >= len(self._site.steps):
            return self._plain("there is no such step", 404)
        indices = self._site.steps[number].indices
        return self._responses.JSONResponse(indices, headers=HEADERS)

    def data(self, request: Any) -> Any:
        """A range of a file, or all of it."""
        refused = self.refused(request)
        if refused is not None:
            return refused
        path = self._site.found.paths.get(request.path_params["name"])
        if path is None:
            return self._plain("there is no such file", 404)
        try:
            return self._answer(request, self._bytes.opened(path))
        except FileNotFoundError:
            return self._plain("there is no such file", 404)
        except (OSError, DSRecordsError) as error:
            self._bytes.forget(path)
            return self._plain(str(error), 502)

    def _answer(self, request: Any, file: Ranges) -> Any:
        size = file.size
        start = 0
        stop = size
        headers = {**HEADERS, "Accept-Ranges": "bytes", "ETag": f'"{file.version}"'}
        status = 200
        asked = _RANGE.fullmatch(request.headers.get("range", ""))
        if asked is not None:
            start = int(asked[1])
            last = int(asked[2]) if asked[2] else size - 1
            stop = min(size, last + 1)
            if start >= stop:
                file.close()
                headers["Content-Range"] = f"bytes */{size}"
                return self._plain("no such range", 416, headers)
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
            status = 206
        headers["Content-Length"] = str(stop - start)
        if request.method == "HEAD":
            stop = start
        pieces = file.pieces(start, stop)
        first = next(pieces, b"")  # what fails here can still be told
        return self._responses.StreamingResponse(
            itertools.chain([first], pieces),
            status,
            headers,
            "application/octet-stream",
        )

    def refused(self, request: Any) -> Any:
        """The answer to who must not ask; None if they may."""
        if request.headers.get("host") not in self._hosts:
            return self._plain("another host", 403)
        given = request.path_params["token"].encode()
        if not hmac.compare_digest(given, self._token):
            return self._plain("there is nothing here", 404)
        return None

    def _plain(
        self,
        text: str,
        status: int,
        headers: dict[str, str] | None = None,
    ) -> Any:
        return self._responses.PlainTextResponse(text, status, headers or HEADERS)


def _policy(page: str, origins: Sequence[str]) -> str:
    """What the page may load: itself, and files of the servers that were named."""
    found = _POLICY.search(page)
    assert found is not None
    connect = " ".join(["connect-src 'self'", *origins])
    return f"{found[1].replace(_CONNECT, connect)}; {_FRAMES}"
