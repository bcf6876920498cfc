"""A local S3 server in a process of its own: moto, and with `strict` the rule that moto lacks.

moto refuses to delete a locked version and one under a legal hold, as Amazon does, but it lets a
COMPLIANCE date be moved nearer and the mode be weakened. The strict server refuses these too.
"""

import io
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_DATE = re.compile(rb"<RetainUntilDate>([^<]+)</RetainUntilDate>")
_REFUSAL = (
    b"<?xml version='1.0'?><Error><Code>AccessDenied</Code>"
    b"<Message>Access Denied because object protected by object lock.</Message></Error>"
)


@contextmanager
def s3_server(*, strict: bool) -> Iterator[str]:
    """Run a server; gives its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, str(Path(__file__)), str(port), "strict" if strict else "moto"]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(address, child)
        yield address
    finally:
        child.terminate()
        child.wait(20)


def _wait(address: str, child: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{address}/moto-api/", timeout=2).close()
        except OSError:
            assert child.poll() is None, "the S3 server ended"
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(address)


def keep_dates(app: Callable[..., Any]) -> Callable[..., Any]:
    """Put Amazon's rule before an application: a COMPLIANCE date only moves away."""
    dates: dict[str, str] = {}

    def strict(environ: dict[str, Any], start: Callable[..., Any]) -> Any:
        path, query = environ["PATH_INFO"], environ.get("QUERY_STRING", "")
        if environ["REQUEST_METHOD"] == "PUT" and "retention" in query:
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            environ["wsgi.input"] = io.BytesIO(body)
            found = _DATE.search(body)
            wanted = found[1].decode() if found else ""
            if b"COMPLIANCE" not in body or wanted < dates.get(path, ""):
                start("403 Forbidden", [("content-type", "application/xml")])
                return [_REFUSAL]
            dates[path] = wanted
        elif environ["REQUEST_METHOD"] == "PUT" and not query:
            dates[path] = environ.get("HTTP_X_AMZ_OBJECT_LOCK_RETAIN_UNTIL_DATE", "")
        return app(environ, start)

    return strict


def main() -> None:
    """Serve until told to end."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import run_simple

    app: Callable[..., Any] = DomainDispatcherApplication(create_backend_app)
    if sys.argv[2] == "strict":
        app = keep_dates(app)
    run_simple("127.0.0.1", int(sys.argv[1]), app, threaded=True)


if __name__ == "__main__":
    main()
