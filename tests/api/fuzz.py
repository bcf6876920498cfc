"""`python -m tests.api.fuzz`: all phases of schemathesis over the OpenAPI, one JSON line a seed.

A real server on an embedded database; the checks are: no 5xx, no undocumented status, media type
or header, answers as their schema says, and no route that ignores its credentials.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from hegui.postgres import Postgres
from service import db
from service.app import create_app
from service.config import settings
from service.provision import migrate
from tests.factories import make_agency, make_tenant

CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance",
    "response_headers_conformance", "response_schema_conformance", "ignored_auth",
)  # fmt: skip
# Media types that the tool does not know are written as those that it does.
ALIASES = (
    'schemathesis.serializer.alias("application/vcon", "application/json")',
    'schemathesis.serializer.alias("application/x-ndjson", "text/plain")',
)


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, str]]:
    """A running service on a new database: its address and an administrator's key."""
    with Postgres(folder / "postgres", durable=False, say=lambda _: None) as server:
        os.environ.update(
            HEGUI_DATABASE_URL=server.app_url,
            HEGUI_DATABASE_OWNER_URL=server.owner_url,
            HEGUI_OBJECT_DIR=str(folder / "objects"),
            HEGUI_LIMIT_REQUESTS_PER_MINUTE="0",
            HEGUI_LOG_LEVEL="ERROR",
        )
        settings.cache_clear()
        migrate(server.owner_url)
        lender = make_tenant()
        make_agency(lender)
        config = uvicorn.Config(create_app, factory=True, port=0, http="httptools", log_config=None)
        running = uvicorn.Server(config)
        thread = threading.Thread(target=running.run)
        thread.start()
        while not running.started:
            time.sleep(0.01)
        port = running.servers[0].sockets[0].getsockname()[1]
        try:
            yield f"http://127.0.0.1:{port}", lender.key
        finally:
            running.should_exit = True
            thread.join(20)
            db.dispose()


def fuzz(
    folder: Path, url: str, key: str, *, seed: int, examples: int, only: str
) -> dict[str, object]:
    """One run; gives its counts, and writes what the tool says to standard error."""
    hooks = folder / "hooks.py"
    hooks.write_text("import schemathesis\n" + "\n".join(ALIASES) + "\n")
    report = folder / f"report-{seed}.json"
    command = [
        str(Path(sys.executable).parent / "schemathesis"), "run", f"{url}/openapi.json",
        "--header", f"Authorization: Bearer {key}", "--checks", ",".join(CHECKS),
        "--phases", "examples,coverage,fuzzing,stateful", "--max-examples", str(examples),
        "--seed", str(seed), "--continue-on-failure", "--no-color", "--warnings", "off",
        "--suppress-health-check", "all", "--request-timeout", "60",
        "--generation-database", "none",
        "--report-json-path", str(report), *(["--include-path-regex", only] if only else []),
    ]  # fmt: skip
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(folder)}
    begun = time.monotonic()
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    sys.stderr.write(done.stdout[-60_000:] + done.stderr[-4_000:])
    cases = re.search(r"(\d[\d,]*) generated", done.stdout)
    operations = re.search(r"Operations:\s+(\d+) selected", done.stdout)
    return {
        "bench": "fuzz-api",
        "seed": seed,
        "examples": examples,
        "operations": int(operations[1]) if operations else None,
        "cases": int(cases[1].replace(",", "")) if cases else None,
        "seconds": round(time.monotonic() - begun),
        "passed": done.returncode == 0,
    }


def main() -> int:
    """Run every seed; 0 where all of them pass."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=200, help="of each operation")
    parser.add_argument("--seed", type=int, action="append", help="may be repeated")
    parser.add_argument("--only", default="", help="a regular expression of paths")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="hegui-fuzz-", dir="/tmp"))
    passed = True
    try:
        with served(folder) as (url, key):
            for seed in arguments.seed or (1, 2, 3):
                found = fuzz(
                    folder, url, key, seed=seed, examples=arguments.examples, only=arguments.only
                )
                sys.stdout.write(json.dumps(found) + "\n")
                sys.stdout.flush()
                passed = passed and bool(found["passed"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
