"""Ingest next to a bare insert: requests a second, latency and memory of one API process each.

Both run under uvicorn with uvloop and httptools on the embedded PostgreSQL with fsync on, and take
the same signed events over 32 connections, in turns. `service` checks the signature and the fields
and writes event, case, interaction and job in one transaction; `bare` is a FastAPI route that puts
the parsed body into one row. One line of JSON goes to standard output.
"""

import argparse
import asyncio
import contextlib
import gc
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import orjson
import psutil
import psycopg
import uvloop
from fastapi import FastAPI
from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool
from standardwebhooks import Webhook

from hegui.postgres import Postgres
from service.access import tenants
from service.db import dispose, tenant_session
from service.provision import migrate

CONNECTIONS = 32
ROOT = Path(__file__).resolve().parent.parent
GOAL_RATIO = 0.6
GOAL_P99_MS = 150.0
TARGETS = {"service": "service.app:create_app", "bare": "benches.bench_ingest:create_bare"}


@dataclass(frozen=True)
class Round:
    """One round: its length, each request's latency, and the processor seconds it took."""

    seconds: float
    took: list[float]
    api_cpu: float
    db_cpu: float


def create_bare() -> FastAPI:
    """The comparison: one route, one pool of the same size, one row."""
    app = FastAPI()
    pool = ConnectionPool(
        os.environ["HEGUI_DATABASE_URL"],
        min_size=1,
        max_size=8,
        kwargs={"autocommit": True, "prepare_threshold": 1},
        open=True,
    )

    @app.post("/bare", status_code=202)
    def post_bare(body: dict[str, Any]) -> dict[str, str]:
        receipt = uuid4()
        with pool.connection() as connection:
            connection.execute(
                "insert into bench_bare (id, body) values (%s, %s)", (receipt, Jsonb(body))
            )
        return {"receipt": str(receipt)}

    # As the service does: otherwise its pauses would be part of the comparison.
    gc.collect()
    gc.freeze()
    return app


def event(number: int) -> bytes:
    """An SMS event of about 650 bytes; each has a case of its own, and so a job."""
    return orjson.dumps(
        {
            "type": "interaction.completed",
            "timestamp": "2026-06-03T11:00:00+08:00",
            "data": {
                "interaction_id": f"S-{number:08d}",
                "case_id": f"K-{number:08d}",
                "channel": "sms",
                "direction": "outbound",
                "started_at": "2026-06-03T11:00:00+08:00",
                "outcome": "delivered",
                "collector": {"id": "E-104", "name": "示例", "org": "示例催收公司"},
                "caller_number": "10690000000001",
                "caller_number_type": "official",
                "party": {"role": "debtor", "phone": "+8613800000001"},
                "text": "您好，您的账单已逾期，为避免影响您的信用记录，请尽快与我们联系，谢谢。",
            },
        }
    )


def requests(path: str, secret: str, first: int, count: int) -> Iterator[bytes]:
    """Whole HTTP requests, signed."""
    hook, now = Webhook(secret), time.time()
    stamp = str(int(now))
    moment = datetime.fromtimestamp(int(now), UTC)
    for number in range(first, first + count):
        body, name = event(number), f"msg_{number}"
        signature = hook.sign(name, moment, body.decode())
        yield (
            f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nwebhook-id: {name}\r\n"
            f"webhook-timestamp: {stamp}\r\nwebhook-signature: {signature}\r\n\r\n"
        ).encode() + body


class Client(asyncio.Protocol):
    """One keep-alive connection that sends the next request when an answer is complete."""

    def __init__(
        self, work: Iterator[bytes], took: list[float], done: asyncio.Future[None]
    ) -> None:
        self.work, self.took, self.done = work, took, done
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = transport
        self.next()

    def next(self) -> None:
        """Send the next request, or end."""
        request = next(self.work, None)
        if request is None:
            self.transport.close()
            if not self.done.done():
                self.done.set_result(None)
            return
        self.begun = time.perf_counter()
        self.transport.write(request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        """Take a part of an answer."""
        self.buffer += data
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        if len(rest) < length:
            return
        if not head.startswith(b"HTTP/1.1 202"):
            self.done.set_exception(RuntimeError(self.buffer.decode(errors="replace")))
            return
        self.took.append(time.perf_counter() - self.begun)
        self.buffer = b""
        self.next()


async def drive(port: int, work: list[bytes]) -> tuple[float, list[float]]:
    """Send all requests over 32 connections; return seconds and each one's latency."""
    loop = asyncio.get_running_loop()
    shared, took = iter(work), list[float]()
    dones = [loop.create_future() for _ in range(CONNECTIONS)]
    begun = time.perf_counter()
    for done in dones:
        await loop.create_connection(
            lambda done=done: Client(shared, took, done),
            "127.0.0.1",
            port,  # type: ignore[misc]
        )
    await asyncio.gather(*dones)
    return time.perf_counter() - begun, took


def serve(target: str, port: int, core: set[int]) -> subprocess.Popen[bytes]:
    """Start one API process."""
    child = subprocess.Popen(
        [
            sys.executable, "-m", "uvicorn", target, "--factory", "--port", str(port),
            "--loop", "uvloop", "--http", "httptools", "--no-access-log",
            "--log-level", "warning",
        ],
        cwd=ROOT,
    )  # fmt: skip
    os.sched_setaffinity(child.pid, core)
    return child


def wait(port: int) -> None:
    """Wait until a port answers."""
    for _ in range(1200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("the API did not start")


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


def percentile(values: list[float], share: float) -> float:
    return round(sorted(values)[int(len(values) * share)] * 1000, 1)


def summary(rounds: list[Round]) -> dict[str, Any]:
    """Median rate over the rounds, latency over all requests, processor time a request."""
    rates = [len(one.took) / one.seconds for one in rounds]
    every = [took for one in rounds for took in one.took]
    return {
        "requests_per_s": round(statistics.median(rates)),
        "rates": [round(rate) for rate in rates],
        "p50_ms": percentile(every, 0.50),
        "p99_ms": percentile(every, 0.99),
        "api_cpu_ms": round(1000 * sum(one.api_cpu for one in rounds) / len(every), 2),
        "db_cpu_ms": round(1000 * sum(one.db_cpu for one in rounds) / len(every), 2),
    }


def spent(process: psutil.Process) -> float:
    """Processor seconds of a process and its living children."""
    total = 0.0
    for one in [process, *process.children()]:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = one.cpu_times()
            total += times.user + times.system
    return total


class Bench:
    """Both APIs, running, and the agency whose events they take."""

    def __init__(self, server: Postgres) -> None:
        self.agency = prepare(server)
        self.owner_url = server.owner_url
        cores = sorted(os.sched_getaffinity(0))
        rest = set(cores[:-1]) or set(cores)
        assert server.pid is not None
        os.sched_setaffinity(server.pid, rest)
        self.database = psutil.Process(server.pid)
        self.ports = {name: free_port() for name in TARGETS}
        self.children = {
            name: serve(target, self.ports[name], {cores[-1]}) for name, target in TARGETS.items()
        }
        os.sched_setaffinity(0, rest)
        self.sent = 0

    def __enter__(self) -> Self:
        """Wait until both answer, and warm them up."""
        try:
            for name, port in self.ports.items():
                wait(port)
                self.go(name, 500)
            # What autovacuum does within a minute: until then sessions keep plans for empty tables.
            with psycopg.connect(self.owner_url, autocommit=True) as connection:
                connection.execute("analyze")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop both."""
        for child in self.children.values():
            child.terminate()
            child.wait(10)

    def go(self, name: str, count: int) -> Round:
        """Send that many events to one of them."""
        path = "/bare" if name == "bare" else f"/v1/webhooks/{self.agency.id}"
        work = list(requests(path, self.agency.webhook_secret, self.sent, count))
        self.sent += count
        api = psutil.Process(self.children[name].pid)
        before = spent(api), spent(self.database)
        seconds, took = uvloop.run(drive(self.ports[name], work))
        return Round(seconds, took, spent(api) - before[0], spent(self.database) - before[1])

    def resident_mib(self) -> float:
        """Memory of the service's process."""
        held = psutil.Process(self.children["service"].pid).memory_info().rss
        return round(float(held) / 2**20, 1)


def prepare(server: Postgres) -> tenants.NewAgency:
    """Migrate, make the bare table, a lender and an agency."""
    migrate(server.owner_url)
    with psycopg.connect(server.owner_url) as connection:
        connection.execute("create table bench_bare (id uuid primary key, body jsonb not null)")
        connection.execute("grant insert on bench_bare to hegui_app")
    tenant, _ = tenants.add_tenant("bench")
    with tenant_session(tenant.id) as session:
        agency = tenants.add_agency(session, tenant_id=tenant.id, name="bench", by="bench")
    dispose()
    return agency


def run(arguments: argparse.Namespace, server: Postgres) -> dict[str, Any]:
    """Drive both in turns, then measure memory over the long run."""
    with Bench(server) as bench:
        rounds: dict[str, list[Round]] = {name: [] for name in TARGETS}
        for _ in range(arguments.rounds):
            for name, kept in rounds.items():
                kept.append(bench.go(name, arguments.requests))
        memory = [bench.resident_mib()]
        for _ in range(4):
            bench.go("service", arguments.flat // 4)
            memory.append(bench.resident_mib())
    found = {name: summary(kept) for name, kept in rounds.items()}
    ratio = found["service"]["requests_per_s"] / found["bare"]["requests_per_s"]
    return {
        "bench": "ingest",
        **found,
        "ratio": round(ratio, 2),
        "rss_mib": memory,
        "rss_growth_mib": round(memory[-1] - memory[0], 1),
        "goal": {"ratio": GOAL_RATIO, "p99_ms": GOAL_P99_MS},
        "met": ratio >= GOAL_RATIO and found["service"]["p99_ms"] <= GOAL_P99_MS,
    }


def main() -> int:
    """Run the benchmark; 0 where the goals are met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=3000, help="requests a round")
    parser.add_argument("--flat", type=int, default=20000, help="requests of the memory run")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="hegui-bench-"))
    try:
        with Postgres(folder, say=lambda text: print(text, file=sys.stderr)) as server:
            os.environ["HEGUI_DATABASE_URL"] = server.app_url
            os.environ["HEGUI_OBJECT_DIR"] = str(folder / "objects")
            os.environ["HEGUI_LOG_LEVEL"] = "WARNING"
            found = run(arguments, server)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(found))
    return 0 if found["met"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
