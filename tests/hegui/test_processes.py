import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hegui.demo_client import Client
from hegui.postgres import Postgres
from tests.hegui.tree import answers, free_port, hegui, running, values, wait_until

pytestmark = pytest.mark.slow


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hegui-test-") as made:
        yield Path(made)


def night_call(number: int) -> dict[str, Any]:
    moment = "2026-05-14T22:31:00+08:00"
    return {
        "type": "interaction.completed",
        "timestamp": moment,
        "data": {
            "interaction_id": f"N-{number}",
            "case_id": f"C-{number}",
            "channel": "call",
            "direction": "outbound",
            "started_at": moment,
            "outcome": "no_answer",
            "collector": {"id": "1"},
            "party": {"role": "debtor", "phone": "+8613800010034"},
        },
    }


def case(number: int) -> dict[str, Any]:
    return {
        "type": "case.upserted",
        "timestamp": "2026-05-13T09:00:00+08:00",
        "data": {
            "case_id": f"C-{number}",
            "product": "credit_card",
            "debtor": {"name": "某某", "phones": ["+8613800010034"]},
        },
    }


def has_outcomes(client: Client, wanted: dict[str, str]) -> bool:
    return {row["interaction_id"]: row["outcome"] for row in client.interactions()} == wanted


def test_two_apis_and_two_workers_share_one_database(folder: Path) -> None:
    with (
        Postgres(folder / "pg", durable=False, say=lambda _: None) as postgres,
        ExitStack() as processes,
    ):
        owner = {"HEGUI_DATABASE_OWNER_URL": postgres.owner_url}
        shared = {
            "HEGUI_DATABASE_URL": postgres.app_url,
            "HEGUI_OBJECT_DIR": str(folder / "objects"),
        }
        assert hegui("migrate", **owner).returncode == 0
        key = values(hegui("tenant", "add", "示范银行", **shared))["key"]
        ports = [free_port(), free_port()]
        for port in ports:
            arguments = ("api", "--port", str(port))
            processes.enter_context(running(folder / "log", *arguments, **shared))
        for queue in ("audio", "rules"):
            arguments = ("worker", "--queue", queue)
            processes.enter_context(running(folder / "log", *arguments, **shared))
        urls = [f"http://127.0.0.1:{port}" for port in ports]
        assert all(wait_until(partial(answers, url)) for url in urls)
        clients = [Client(url, key) for url in urls]

        agency = clients[0].add_agency("甲")
        for number, client in enumerate(clients):
            client.send_event(agency, f"case-{number}", case(number))
            client.send_event(agency, f"call-{number}", night_call(number))
        repeated = [client.send_event(agency, "call-0", night_call(0)) for client in clients]

        for client in clients:
            assert wait_until(partial(has_outcomes, client, {"N-0": "fail", "N-1": "fail"}))
        assert repeated[0] == repeated[1]
        for client in clients:
            client.close()


def children(pid: int) -> dict[int, str]:
    """The direct children of a process, with their command lines."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if parent == pid:
                found[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
        except (OSError, IndexError):
            continue
    return found


def one_of(pid: int, words: str) -> int:
    """The child whose command line holds these words; 0 while there is none."""
    return next((child for child, line in children(pid).items() if words in line), 0)


def start(folder: Path, stack: ExitStack, port: int) -> subprocess.Popen[bytes]:
    arguments = ("serve", "--port", str(port), "--data-dir", str(folder / "var"))
    process = stack.enter_context(running(folder / "log", *arguments))
    url = f"http://127.0.0.1:{port}"
    assert wait_until(lambda: answers(url)), (folder / "log").read_text()
    return process


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads the table of processes")
def test_serve_survives_any_death_and_ends_in_good_order(folder: Path) -> None:
    port = free_port()
    with ExitStack() as stack:
        server = start(folder, stack, port)
        made = hegui("tenant", "add", "示范银行", "--data-dir", str(folder / "var"))
        client = Client(f"http://127.0.0.1:{port}", values(made)["key"])
        stack.callback(client.close)
        agency = client.add_agency("甲")
        client.send_event(agency, "case-1", case(1))

        killed = one_of(server.pid, "hegui api")
        os.kill(killed, signal.SIGKILL)
        assert wait_until(lambda: one_of(server.pid, "hegui api") not in {0, killed})
        assert wait_until(lambda: answers(f"http://127.0.0.1:{port}"))
        client.send_event(agency, "call-1", night_call(1))

        for pid in [server.pid, *children(server.pid)]:
            os.kill(pid, signal.SIGKILL)
        server.wait(30)
        server = start(folder, stack, port)
        assert wait_until(partial(has_outcomes, client, {"N-1": "fail"}))

        second = hegui("serve", "--port", str(port), "--data-dir", str(folder / "other"))
        assert second.returncode == 2
        assert "--port" in second.stderr

        family = children(server.pid)
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0
        assert len(family) == 4
        assert not any(Path(f"/proc/{pid}").exists() for pid in family)
