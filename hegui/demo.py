"""Runs the whole product on recorded calls, as a client would, and compares what it sees."""

import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from hegui.demo_client import AgencyAccess, AlertReceiver, Client
from hegui.environment import child_environment
from hegui.errors import RefusedError

LENDER = "示范银行"
AGENCIES = {"own-team": "示范银行自营贷后团队", "chengxun": "诚讯商务服务", "mingze": "明泽信息"}
AUDIO_WORKERS = 2
START_S = 120.0
CHECK_S = 900.0
ALERT_S = 60.0
PERIOD = (date(2026, 5, 1), date(2026, 6, 30))
NARROWEST = 130
DONE = frozenset({"checked", "undecodable", "missing"})


@dataclass(frozen=True, slots=True)
class Seen:
    """One interaction as the API shows it."""

    interaction_id: str
    channel: str
    outcome: str | None
    findings: list[dict[str, Any]]


def run_demo(output: Path, *, stay: bool) -> int:
    """Run it; 0 if everything expected was seen and nothing else, 1 otherwise."""
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, NARROWEST)
    output.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="hegui-demo-") as folder,
        AlertReceiver() as receiver,
        _serving(Path(folder), receiver.address, output / "serve.log", console) as url,
    ):
        key = _add_lender(Path(folder))
        client = Client(url, key)
        try:
            problems = _tour(client, receiver, output, console)
        finally:
            client.close()
        for problem in problems:
            console.print(Text(f"✗ {problem}", "bold red"))
        seconds = time.monotonic() - begun
        if not problems:
            console.print(Text(f"✓ everything as expected, in {seconds:.0f} s", "bold green"))
        if stay:
            _stay(url, key, console)
    return 1 if problems else 0


def _tour(client: Client, receiver: AlertReceiver, output: Path, console: Console) -> list[str]:
    """Send, wait, look, report; gives what was not as expected."""
    agencies = {name: client.add_agency(title) for name, title in AGENCIES.items()}
    receiver.secret = client.post("/v1/endpoints", {"url": f"http://{receiver.address}/alerts"})[
        "secret"
    ]
    console.print(f"lender {LENDER}, {len(agencies)} agencies, keys, an endpoint for alerts")
    _send_everything(client, agencies, console)
    seen = _wait_for_verdicts(client, console)
    failing = sum(one.outcome == "fail" for one in seen)
    receiver.wait_for(failing, ALERT_S)
    _show(seen, console)
    console.print(
        f"{len(receiver.alerts)} alerts came to the lender's endpoint, every signature right"
        if not receiver.refused
        else f"{receiver.refused} alerts had a wrong signature"
    )
    _save(client, agencies, seen, output, console)
    return [*_compare(seen), *_compare_alerts(seen, receiver)]


@contextmanager
def _serving(folder: Path, receiver: str, log: Path, console: Console) -> Iterator[str]:
    """Start `hegui serve` on fresh data and a free port; end it with the block."""
    port = _free_port()
    given = {"HEGUI_EGRESS_ALLOW": receiver, "HEGUI_LOG_FORMAT": "json"}
    environment = _own_environment() | given
    command = [
        sys.executable, "-m", "hegui", "serve", "--port", str(port),
        "--data-dir", str(folder), "--audio-workers", str(AUDIO_WORKERS),
    ]  # fmt: skip
    with log.open("wb") as err:
        server = subprocess.Popen(  # noqa: S603  ourselves, no shell
            command, stdout=subprocess.PIPE, stderr=err, text=True, env=environment
        )
    try:
        with console.status("hegui serve: database, schema, API, workers"):
            line = server.stdout.readline() if server.stdout else ""
        if "ready" not in line:
            tail = "\n".join(log.read_text("utf-8", "replace").splitlines()[-5:])
            raise RefusedError(f"hegui serve did not start; the end of {log}:\n{tail}")
        console.print(line.strip())
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()
        if server.stdout:
            server.stdout.close()


def _own_environment() -> dict[str, str]:
    """The environment without the user's hegui settings, but for the choice of the engine."""
    kept = {"HEGUI_ENGINE", "HEGUI_MODEL"}
    return {
        name: value
        for name, value in child_environment().items()
        if not name.startswith("HEGUI_") or name in kept
    }


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _add_lender(folder: Path) -> str:
    done = subprocess.run(  # noqa: S603  ourselves, no shell
        [sys.executable, "-m", "hegui", "tenant", "add", LENDER, "--data-dir", str(folder)],
        check=True,
        capture_output=True,
        text=True,
        env=_own_environment(),
    )
    values = dict(line.split("=", 1) for line in done.stdout.splitlines())
    return values["key"]


def _bars(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:<28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )


def _send_everything(client: Client, agencies: dict[str, AgencyAccess], console: Console) -> None:
    """Post every event as its agency, and upload the recordings that they announce."""
    data = resources.files("hegui").joinpath("demo_data")
    events = demo_events()
    owner = {e["data"]["case_id"]: e["data"].get("agency_id") for e in events}
    announced: list[tuple[AgencyAccess, dict[str, Any]]] = []
    with _bars(console) as bars:
        sending = bars.add_task("signed events posted", total=len(events))
        for number, event in enumerate(events):
            about = event["data"]
            agency = agencies[about.pop("agency_id", None) or owner[about["case_id"]]]
            client.send_event(agency, f"demo-{number:04d}", event)
            if "recording" in about:
                announced.append((agency, about["recording"]))
            bars.advance(sending)
        uploading = bars.add_task("recordings uploaded", total=len(announced))
        for agency, recording in announced:
            with resources.as_file(data.joinpath(*recording["path"].split("/"))) as path:
                client.put_recording(agency, recording["sha256"], path)
            bars.advance(uploading)


def _wait_for_verdicts(client: Client, console: Console) -> list[Seen]:
    """Watch the interactions go down the road until each has its verdict."""
    deadline = time.monotonic() + CHECK_S
    with _bars(console) as bars:
        rows = client.interactions()
        spoken = sum(row["recording_sha256"] is not None for row in rows)
        hearing = bars.add_task("calls transcribed", total=spoken)
        checking = bars.add_task("contacts checked", total=len(rows))
        while True:
            rows = client.interactions()
            done = [row for row in rows if row["state"] in DONE and row["outcome"] is not None]
            heard = [r for r in rows if r["state"] in {"transcribed", *DONE}]
            with_audio = sum(row["recording_sha256"] is not None for row in heard)
            bars.update(hearing, completed=with_audio)
            bars.update(checking, completed=len(done))
            if len(done) == len(rows):
                break
            if time.monotonic() > deadline:
                raise RefusedError(f"{len(rows) - len(done)} contacts had no verdict in time")
            time.sleep(0.5)
    return sorted((_look(client, row) for row in rows), key=lambda one: one.interaction_id)


def _look(client: Client, row: dict[str, Any]) -> Seen:
    detail = client.get(f"/v1/interactions/{row['id']}")
    findings = [finding["evidence"] for finding in detail["verdict"]["findings"]]
    return Seen(row["interaction_id"], row["channel"], detail["verdict"]["outcome"], findings)


def _show(seen: list[Seen], console: Console) -> None:
    colours = {"pass": "green", "fail": "bold red", "review": "yellow"}
    table = Table(title="What hegui found", title_justify="left", header_style="bold")
    for name in ("contact", "outcome", "rule", "articles"):
        table.add_column(name, overflow="fold", no_wrap=name != "articles")
    table.add_column("quote (or the numbers it stands on)", overflow="fold", ratio=1)
    table.add_column("second", justify="right", no_wrap=True)
    for one in seen:
        outcome = one.outcome or "none"
        first: list[RenderableType] = [
            f"{one.interaction_id} {one.channel}",
            Text(outcome, colours.get(outcome, "magenta")),
        ]
        shown = [f for f in one.findings if f["disposition"] != "signal"]
        for finding in shown:
            mark = "" if finding["disposition"] == "violation" else f" ({finding['disposition']})"
            second = finding.get("start")
            table.add_row(
                *first,
                finding["rule"] + mark,
                " ".join(finding["articles"]),
                Text(_stands_on(finding)),
                "" if second is None else f"{second:.1f}",
                end_section=finding is shown[-1],
            )
            first = ["", ""]
        if not shown:
            table.add_row(*first, "", "", "", "", end_section=True)
    console.print(table)


def _stands_on(finding: dict[str, Any]) -> str:
    quote, heard = finding.get("quote"), finding.get("heard")
    if quote is None:
        return str(finding["why_zh"])
    return f"“{quote}”" if heard in {None, quote} else f"“{quote}”, heard as “{heard}”"


def _save(
    client: Client,
    agencies: dict[str, AgencyAccess],
    seen: list[Seen],
    output: Path,
    console: Console,
) -> None:
    """Write the audit reports and what was seen."""
    query = {"from": PERIOD[0].isoformat(), "to": PERIOD[1].isoformat()}
    for name, agency in agencies.items():
        for form in ("pdf", "json"):
            path = output / f"report-{name}.{form}"
            body = client.download(f"/v1/reports/agencies/{agency.id}", format=form, **query)
            path.write_bytes(body)
        console.print(f"audit report of {agency.name}: {output / f'report-{name}.pdf'} and .json")
    document = [
        {"interaction_id": one.interaction_id, "outcome": one.outcome, "findings": one.findings}
        for one in seen
    ]
    text = json.dumps(document, ensure_ascii=False, indent=2)
    (output / "seen.json").write_text(text + "\n", encoding="utf-8")


def demo_events() -> list[dict[str, Any]]:
    """The events of the demonstration, in the order in which they are sent."""
    data = resources.files("hegui").joinpath("demo_data")
    lines = data.joinpath("events.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def expectations() -> dict[str, dict[str, Any]]:
    """What the demonstration must see, by interaction."""
    text = resources.files("hegui").joinpath("demo_data", "expected.yaml").read_text("utf-8")
    found: dict[str, dict[str, Any]] = yaml.safe_load(text)
    return found


def _compare(seen: list[Seen]) -> list[str]:
    """What differs from the expectations: outcomes, missing rules, violations of others."""
    expected = expectations()
    found = {one.interaction_id: one for one in seen}
    problems = [f"{name} was not seen" for name in expected.keys() - found.keys()]
    problems += [f"{name} was not expected" for name in found.keys() - expected.keys()]
    for name in sorted(expected.keys() & found.keys()):
        wish, one = expected[name], found[name]
        rules, also = set(wish.get("rules", ())), set(wish.get("also", ()))
        reported = {f["rule"] for f in one.findings if f["disposition"] != "signal"}
        stands = {f["rule"] for f in one.findings if f["disposition"] == "violation"}
        if one.outcome not in wish["outcome"]:
            problems.append(f"{name}: {one.outcome} instead of {' or '.join(wish['outcome'])}")
        problems += [f"{name}: {rule} was not reported" for rule in sorted(rules - reported)]
        problems += [f"{name}: {rule} was not expected" for rule in sorted(stands - rules - also)]
    return problems


def _compare_alerts(seen: list[Seen], receiver: AlertReceiver) -> list[str]:
    """Whether each failing contact was alerted, and nothing a person said was sent."""
    problems = ["an alert had a wrong signature"] * bool(receiver.refused)
    failing = sum(one.outcome == "fail" for one in seen)
    alerted = {json.dumps(alert["data"].get("interaction_id")) for alert in receiver.alerts}
    if len(alerted) != failing:
        problems.append(f"{len(alerted)} contacts were alerted, {failing} fail")
    sent = json.dumps(receiver.alerts, ensure_ascii=False)
    if any(private in sent for private in _private(seen)):
        problems.append("an alert carries what a person said")
    return problems


def _private(seen: list[Seen]) -> set[str]:
    """What must not be sent: phones, names and quotes; bare digits could be part of an id."""
    quotes = {f["quote"] for one in seen for f in one.findings if f.get("quote")}
    private = {quote for quote in quotes if not quote.isascii()}
    for event in demo_events():
        about = event["data"]
        people = [about.get("debtor", {}), about.get("party", {}), about.get("collector", {})]
        for person in people:
            private |= {person.get("name"), person.get("phone"), *person.get("phones", ())}
    return private - {None}


def _stay(url: str, key: str, console: Console) -> None:
    """Leave it running until Ctrl-C."""
    console.print("\nIt keeps running on throw-away data; Ctrl-C stops it. Look around with:")
    console.print(f"  export KEY={key}", soft_wrap=True)
    for path in ("interactions?outcome=fail", "findings?rule=THR-02", "agencies"):
        command = f"  curl -s -H \"Authorization: Bearer $KEY\" '{url}/v1/{path}'"
        console.print(command, soft_wrap=True, highlight=False)
    console.print(f"  OpenAPI: {url}/openapi.json")
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        console.print("stopping")
