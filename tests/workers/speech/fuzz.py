"""`python -m tests.workers.speech.fuzz`: feed hostile audio to the decoder, print one JSON line."""

import argparse
import json
import os
import resource
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

from rich.progress import track

from tests.workers.speech.hostile import CUTS, HEARD, KINDS, Kind, cuts, mutations
from workers.speech.decode import RATE, UndecodableError, decoded

SEED = 20_261_122


def outcome_of(path: Path) -> str:
    """Return how the file ends: a code, or `audio` with its flags."""
    try:
        with decoded(path) as audio:
            assert audio.samples.shape[0] > 0
            audio.piece(audio.channels - 1, 0, RATE)
            return "+".join((HEARD, *audio.flags))
    except UndecodableError as refusal:
        return refusal.code


def is_right(kind: Kind, outcome: str) -> bool:
    """Tell whether a kind ended as it should; flags that nobody asked for do not matter."""
    parts = set(outcome.split("+"))
    return any(set(wanted.split("+")) <= parts for wanted in kind.outcomes)


def count_calls(server: socket.socket) -> list[int]:
    """Count who connects to a server, until it is closed."""
    hits = [0]

    def wait() -> None:
        while True:
            try:
                server.accept()[0].close()
            except OSError:
                return
            hits[0] += 1

    threading.Thread(target=wait, daemon=True).start()
    return hits


def files(
    folder: Path, port: int, count: int, seed: int, step: int
) -> Iterable[tuple[str, str, bytes]]:
    """Yield group, name and content of every file."""
    for kind in KINDS:
        yield "kinds", kind.id, kind.make(folder, port)
    yield from (("cuts", name, content) for name, content in islice(cuts(folder), 0, None, step))
    yield from (("mutations", name, content) for name, content in mutations(folder, count, seed))


def run(count: int, seed: int, jobs: int, step: int) -> dict[str, Any]:
    """Decode everything; return counts, memory in MiB and processor seconds."""
    outcomes: Counter[str] = Counter()
    groups: Counter[str] = Counter()
    wrong: list[str] = []
    kinds = {kind.id: kind for kind in KINDS}
    began, memory = os.times(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with (
        tempfile.TemporaryDirectory() as name,
        socket.create_server(("127.0.0.1", 0)) as server,
        ThreadPoolExecutor(jobs) as pool,
    ):
        folder, hits = Path(name), count_calls(server)

        def decode_one(item: tuple[str, str, bytes]) -> tuple[str, str, str]:
            with tempfile.NamedTemporaryFile(dir=folder) as file:
                file.write(item[2])
                file.flush()
                return item[0], item[1], outcome_of(Path(file.name))

        everything = iter(files(folder, server.getsockname()[1], count, seed, step))
        batches = iter(lambda: list(islice(everything, 4 * jobs)), [])
        ended_in = (found for batch in batches for found in pool.map(decode_one, batch))
        total, quiet = len(KINDS) + CUTS // step + count, not sys.stderr.isatty()
        for group, label, outcome in track(ended_in, "hostile audio", total, disable=quiet):
            groups[group] += 1
            outcomes[outcome.split("+")[0]] += 1
            if group == "kinds" and not is_right(kinds[label], outcome):
                wrong.append(f"{label}: {outcome}")
        time.sleep(0.2)
    ended = os.times()
    return {
        "fuzz": "audio",
        "seed": seed,
        **groups,
        "outcomes": dict(sorted(outcomes.items())),
        "wrong": wrong,
        "calls_received": hits[0],
        "sockets_asked_for": outcomes["decoder_forbidden"],
        "decoder_died": outcomes["decoder_crashed"],
        "decoder_peak_mib": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024,
        "worker_grew_mib": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) // 1024,
        "cpu_seconds": round(sum(ended[:4]) - sum(began[:4]), 1),
    }


def main() -> None:
    """Run from the command line; the status is 1 where something was not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutations", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--cut-step", type=int, default=1, help="only every so many-th cut")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    found = run(options.mutations, options.seed, options.jobs, options.cut_step)
    print(json.dumps(found))  # noqa: T201  its result
    sys.exit(bool(found["wrong"] or found["calls_received"] or found["sockets_asked_for"]))


if __name__ == "__main__":
    main()
