"""What it costs to keep recordings sealed: processor seconds a megabyte, next to plain files.

Recordings of a call's size and one large one are put into the local store and read back, whole and
in parts, once as they come and once sealed, alternately in one run (the embedded PostgreSQL holds
the keys). One line of JSON goes to standard output; the processor seconds are those of this
process, so that neither the disk nor the database's own work is in them.
"""

import argparse
import hashlib
import json
import os
import shutil
import tempfile
import time
from pathlib import Path
from random import Random
from uuid import UUID

from hegui.postgres import Postgres
from service.access import tenants
from service.config import settings
from service.db import dispose
from service.keeping.storage import LocalStore
from service.provision import migrate

MIB = 1024 * 1024
CHUNK = 64 * 1024
PART = 256 * 1024


def _use_cpu(store: LocalStore, tenant: UUID, recordings: dict[str, bytes]) -> dict[str, float]:
    """Processor seconds of putting, reading whole, and reading one part of each recording."""
    spent = {}
    start = time.process_time()
    for name, content in recordings.items():
        pieces = (content[at : at + CHUNK] for at in range(0, len(content), CHUNK))
        store.put_stream(tenant, pieces, name, len(content))
    spent["put"] = time.process_time() - start
    start = time.process_time()
    for name, content in recordings.items():
        assert sum(map(len, store.read(tenant, name))) == len(content)
    spent["read"] = time.process_time() - start
    start = time.process_time()
    for name, content in recordings.items():
        at = len(content) // 2
        part = b"".join(store.read(tenant, name, at, at + PART - 1))
        assert part == content[at : at + PART]
    spent["part"] = time.process_time() - start
    return spent


def main() -> None:
    """Measure and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=100, help="recordings of one megabyte")
    parser.add_argument("--large", type=int, default=100, help="megabytes of the large one")
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    random = Random(1)  # noqa: S311  bytes to store, no secrets
    contents = [random.randbytes(MIB) for _ in range(chosen.calls)]
    contents.append(random.randbytes(MIB) * chosen.large)
    recordings = {hashlib.sha256(content).hexdigest(): content for content in contents}
    megabytes = chosen.calls + chosen.large
    folder = Path(tempfile.mkdtemp(prefix="hegui-bench-"))
    best: dict[str, dict[str, float]] = {"plain": {}, "sealed": {}}
    try:
        with Postgres(folder / "pg", say=lambda _: None) as server:
            migrate(server.owner_url)
            os.environ["HEGUI_DATABASE_URL"] = server.app_url
            os.environ["HEGUI_OBJECT_DIR"] = str(folder / "objects")
            settings.cache_clear()
            tenant, _ = tenants.add_tenant("bench")
            for number in range(chosen.rounds):
                for kind, spent in best.items():
                    root = folder / f"{kind}-{number}"
                    store = LocalStore(root, seals=kind == "sealed")
                    for act, seconds in _use_cpu(store, tenant.id, recordings).items():
                        spent[act] = min(seconds, spent.get(act, seconds))
                    shutil.rmtree(root)
            dispose()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    line = {
        "megabytes": megabytes,
        "recordings": len(recordings),
        **{
            f"{kind}_{act}_ms_a_mb": round(1000 * spent[act] / megabytes, 3)
            for kind, spent in best.items()
            for act in ("put", "read")
        },
        **{
            f"{kind}_part_ms": round(1000 * spent["part"] / len(recordings), 3)
            for kind, spent in best.items()
        },
        "sealed_put_mb_s": round(megabytes / best["sealed"]["put"]),
        "sealed_read_mb_s": round(megabytes / best["sealed"]["read"]),
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
