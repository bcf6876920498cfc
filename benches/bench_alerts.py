"""How long a critical finding takes from the agency's webhook to the lender's alert.

API, worker, database and speech engine run as deployed; nothing is replaced. Messages are sent one
by one; then calls, each with its recording stored before the webhook is: recordings of the
demonstration that break rules, and a call of `--long` seconds laid together from them. One JSON
line each; `processor_s` is what the worker's processes took. Status 1 where messages take over
`MOST_S` at the 95th percentile.
"""

import argparse
import hashlib
import itertools
import json
import os
import statistics
import sys
import tempfile
import time
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from service import db
from service.alerts import endpoints
from service.config import settings
from tests.factories import Sender, encode, make_agency, make_call, make_case, make_sms, make_tenant
from tests.factories import sign as signed
from tests.receiver import Receiver
from tests.workers.system import System, running_system
from workers.speech.decode import RATE, decoded

THREAT = "再不还钱，我们今天就上门泼油漆，让你家里人都不得安宁。"
# Recordings of the demonstration in which a threat or a lie is told; the first one warms up.
AUDIO = Path(__file__).parents[1] / "hegui" / "demo_data" / "audio"
CALLS = ("D031-01.ogg", "D045-01.ogg", "D048-01.ogg")
NOTHING_FILED = {"lawsuit": "none", "credit_reported": True}
MOST_S = 5.0
START_S, PATIENCE_S = 60, 900
TICKS = os.sysconf("SC_CLK_TCK")


class Road:
    """An agency's way in and a lender's way out of a running system."""

    def __init__(self, system: System, receiver: Receiver, client: httpx.Client) -> None:
        self.system, self.receiver, self.client = system, receiver, client
        lender = make_tenant()
        self.agency: Sender = make_agency(lender)
        with db.tenant_session(lender.id) as session:
            wish = endpoints.EndpointWish(url=receiver.url)
            endpoints.add_endpoint(session, tenant_id=lender.id, wish=wish, by="bench")

    def post(self, event: dict[str, Any]) -> None:
        """Post one signed event."""
        body = encode(event)
        path = f"/v1/webhooks/{self.agency.id}"
        answer = self.client.post(path, content=body, headers=signed(self.agency.secret, body))
        answer.raise_for_status()

    def alerted(self, event: dict[str, Any]) -> float:
        """Post an event that fails; gives the seconds until its alert came in."""
        self.post(make_case(case_id=event["data"]["case_id"], proceedings=NOTHING_FILED))
        begun, count = time.time(), len(self.receiver.requests)
        self.post(event)
        self.receiver.wait_for(count + 1, PATIENCE_S)
        return float(self.receiver.requests[count].at - begun)

    def call(self, path: Path, number: int) -> dict[str, Any]:
        """Have one recorded call heard and alerted of."""
        content, before = path.read_bytes(), processor_s(self.system.worker.pid)
        digest = hashlib.sha256(content).hexdigest()
        put = self.client.put(f"/v1/recordings/{digest}", content=content, headers=self.agency.auth)
        put.raise_for_status()
        with decoded(path) as audio:
            seconds = audio.seconds
        recording = {"sha256": digest, "speakers": ["collector", "party"]}
        event = make_call(case_id=f"K-A{number}", talk_seconds=seconds, recording=recording)
        wait = self.alerted(event)
        spent = processor_s(self.system.worker.pid) - before
        return {
            "call_s": round(seconds, 1),
            "wait_s": round(wait, 2),
            "wait_per_call_s": round(wait / seconds, 3),
            "processor_s": round(spent, 1),
            "processor_per_call_s": round(spent / seconds, 3),
        }


def processor_s(pid: int) -> float:
    """Processor seconds of a process and its children so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICKS


def messages(road: Road, count: int) -> dict[str, Any]:
    waits = []
    for number in range(count + 1):
        sms = make_sms(case_id=f"K-{number}", text=THREAT)
        waits.append(road.alerted(sms))
    del waits[0]  # the worker reads its pack for the first one
    p95 = statistics.quantiles(waits, n=20, method="inclusive")[-1]
    return {
        "messages": count,
        "p50_s": round(statistics.median(waits), 3),
        "p95_s": round(p95, 3),
        "worst_s": round(max(waits), 3),
    }


def lay_together(path: Path, seconds: int) -> None:
    """Write a stereo call of that length from the recordings in turn; the last one is cut."""
    left = seconds * RATE
    with wave.open(str(path), "wb") as writer:
        writer.setnchannels(2)
        writer.setsampwidth(2)
        writer.setframerate(RATE)
        for name in itertools.cycle(CALLS):
            with decoded(AUDIO / name) as audio:
                part = audio.samples[:left]
                writer.writeframes(part.astype("<i2").tobytes())
            left -= len(part)
            if not left:
                return


def calls(road: Road, long: int, folder: Path) -> Iterator[dict[str, Any]]:
    """The first one is not told of: the worker loads its model for it."""
    for number, name in enumerate(CALLS):
        found = road.call(AUDIO / name, number)
        if number:
            yield found
    if long:
        path = folder / "long.wav"
        lay_together(path, long)
        yield road.call(path, len(CALLS))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--messages", type=int, default=40)
    parser.add_argument("--long", type=int, default=120, help="seconds; 0: leave it out")
    parser.add_argument("--engine", default="", help="openai-whisper or faster-whisper")
    wish = parser.parse_args()
    named = {"HEGUI_ENGINE": wish.engine} if wish.engine else {}
    with (
        tempfile.TemporaryDirectory() as folder,
        Receiver() as receiver,
        running_system(receiver.address, **named) as system,
        httpx.Client(
            base_url=system.url, timeout=60, transport=httpx.HTTPTransport(retries=50)
        ) as client,
    ):
        system.wait_until(lambda: is_up(client), START_S)
        road = Road(system, receiver, client)
        told = {"engine": settings().engine, "model": settings().model or "base"}
        found = messages(road, wish.messages)
        print(json.dumps({**found, "load": load()}), flush=True)
        for line in calls(road, wish.long, Path(folder)):
            print(json.dumps({**told, **line, "load": load()}), flush=True)
    return int(found["p95_s"] > MOST_S)


def load() -> float:
    return round(os.getloadavg()[0], 1)


def is_up(client: httpx.Client) -> bool:
    try:
        return client.get("/healthz").is_success
    except httpx.TransportError:
        return False


if __name__ == "__main__":
    sys.exit(main())
