"""The command `hegui`: what it offers, and how it ends. Heavy parts load when they are needed."""

import sys
import traceback
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hegui.cli_access import grant, key, regulator
from hegui.cli_admin import agency, tenant
from hegui.cli_backup import backup
from hegui.cli_debtor import debtor
from hegui.cli_endpoint import endpoint
from hegui.cli_gate import gate
from hegui.cli_near_misses import near_misses
from hegui.cli_person import person, provider
from hegui.cli_privacy import keys, limits
from hegui.cli_replay import backtest, replay
from hegui.cli_retention import calls, hold, purge
from hegui.cli_rules import rules
from hegui.cli_scorecard import scorecard
from hegui.cli_vcon import vcon
from hegui.cli_verify import ledger, verify
from hegui.errors import RefusedError

REFUSED = 2
FAILED_INSIDE = 3

app = typer.Typer(
    help="Checks every collection contact against the rules that protect the person who owes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
)
for group, help_text in (
    (tenant, "Lenders."),
    (agency, "Agencies of a lender, and the secrets that sign their webhooks."),
    (key, "API keys."),
    (person, "People who sign in: of lenders, agencies, regulators, and operators."),
    (provider, "OpenID providers that lenders' people sign in at."),
    (keys, "Keys that seal personal data: new ones, sealing anew, a new master key."),
    (debtor, "A person's rights: what is held of them, a copy, a correction, an erasure."),
    (limits, "How much a lender and its agencies may ask for."),
    (regulator, "Regulators: they read what lenders grant them."),
    (grant, "Grants: what a lender lets a regulator read."),
    (endpoint, "Addresses that alerts are posted to."),
    (rules, "Rule packs: list them, test them, ask why."),
    (vcon, "Contacts as vCon documents."),
    (ledger, "The sealed ledger of a lender."),
    (backup, "Copies of the embedded database, and the way back to a point in time."),
    (hold, "Legal holds on recordings."),
    (purge, "Purge runs: what is past its date goes, after a wait and by two persons."),
    (calls, "Agencies' lists of calls against what arrived."),
):
    app.add_typer(group, help=help_text, no_args_is_help=True)


class Format(StrEnum):
    """How a result is written."""

    TEXT = "text"
    JSON = "json"
    JUNIT = "junit"
    SARIF = "sarif"


class FailOn(StrEnum):
    """From which severity on the status is 1."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    NEVER = "never"


class EngineName(StrEnum):
    """The speech engines."""

    OPENAI = "openai-whisper"
    FASTER = "faster-whisper"


class QueueName(StrEnum):
    """The queues a worker may take."""

    AUDIO = "audio"
    RULES = "rules"


class ReportForm(StrEnum):
    """How a report is given."""

    JSON = "json"
    PDF = "pdf"
    XLSX = "xlsx"
    ZIP = "zip"


DataDir = Annotated[
    Path,
    typer.Option("--data-dir", help="Folder of the embedded database and of the recordings."),
]
Host = Annotated[str, typer.Option("--host", help="Address to listen on.")]
Port = Annotated[int, typer.Option("--port", min=1, max=65535, help="Port to listen on.")]
VAR = Path("var")


@app.command()
def check(
    paths: Annotated[
        list[Path],
        typer.Argument(
            help="Events files (*.jsonl), transcripts (*.json), vCons (*.vcon, *.vcon.json), "
            "recordings, or folders of them.",
            show_default=False,
        ),
    ],
    form: Annotated[
        Format, typer.Option("--format", help="How to write the result.")
    ] = Format.TEXT,
    fail_on: Annotated[
        FailOn, typer.Option("--fail-on", help="Lowest severity of a finding that gives status 1.")
    ] = FailOn.HIGH,
    pack: Annotated[
        list[str] | None,
        typer.Option("--pack", help="Rule pack; may be repeated.  [default: collection]"),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="Write the result to this file.")
    ] = None,
    engine: Annotated[
        EngineName, typer.Option("--engine", help="Speech engine for recordings.")
    ] = EngineName.OPENAI,
    model: Annotated[
        str,
        typer.Option("--model", help="Speech model: a name or a path; empty: what is installed."),
    ] = "",
    speakers: Annotated[
        str,
        typer.Option(
            "--speakers",
            help="Who speaks on each channel of recordings given by name: "
            "collector, party or unknown; one word for a mono recording.",
        ),
    ] = "collector,party",
) -> None:
    """Check files, without a server or a database.

    Events files carry the facts (times, parties, cases); a transcript or a recording alone is
    judged by its words only. All paths are one batch: the order of files and lines does not matter.

    Status: 0 nothing at or above --fail-on; 1 findings at or above it; 2 refused, or a recording
    could not be read; 3 failed inside.
    """
    from hegui.cli_check import Wish, run_check

    wish = Wish(
        paths=paths,
        form=form.value,
        fail_on=fail_on.value,
        packs=pack or ["collection"],
        output=output,
        engine=engine.value,
        model=model,
        speakers=speakers,
    )
    raise typer.Exit(run_check(wish))


app.command()(gate)
app.command()(scorecard)
app.command()(verify)
app.command()(replay)
app.command()(backtest)
rules.command("near-misses")(near_misses)


@app.command()
def serve(
    host: Host = "127.0.0.1",
    port: Port = 8080,
    data_dir: DataDir = VAR,
    audio_workers: Annotated[
        int, typer.Option("--audio-workers", min=1, max=64, help="Processes that transcribe.")
    ] = 1,
) -> None:
    """Run API and workers in one tree of processes.

    Brings its own PostgreSQL in --data-dir, unless HEGUI_DATABASE_URL names a server. What dies is
    started again; SIGTERM or Ctrl-C lets running work end first, a second one does not wait.
    """
    from hegui.serve import Server

    raise typer.Exit(Server(data_dir, host, port, audio_workers).run())


@app.command()
def api(
    host: Host = "127.0.0.1",
    port: Port = 8080,
    processes: Annotated[int, typer.Option("--processes", min=1, max=64)] = 1,
) -> None:
    """Run the HTTP API alone, on the database of HEGUI_DATABASE_URL."""
    from hegui.serve import run_api

    run_api(host, port, processes)


@app.command()
def worker(
    queue: Annotated[
        list[QueueName] | None,
        typer.Option("--queue", help="What to work on; may be repeated.  [default: both]"),
    ] = None,
) -> None:
    """Run one worker alone, on the database of HEGUI_DATABASE_URL.

    `audio` fetches and transcribes recordings, `rules` checks and sends alerts.
    """
    from service import log
    from service.config import settings
    from service.jobs import Queue
    from workers.app import run

    log.configure(settings())
    raise typer.Exit(run([Queue(name.value) for name in dict.fromkeys(queue or QueueName)]))


@app.command()
def migrate(
    check_only: Annotated[
        bool,
        typer.Option(
            "--check", help="Try the migrations on a throw-away database, compare it with the code."
        ),
    ] = False,
    data_dir: DataDir = VAR,
) -> None:
    """Bring the database of HEGUI_DATABASE_OWNER_URL, or the embedded one, to the newest schema."""
    from hegui.cli_admin import check_migrations_on_new_database, migrate_database

    if check_only:
        check_migrations_on_new_database()
    else:
        migrate_database(data_dir)


@app.command()
def report(
    agency_id: Annotated[str, typer.Argument(help="The agency's id.", show_default=False)],
    first: Annotated[str, typer.Option("--from", help="First day, YYYY-MM-DD, Asia/Shanghai.")],
    last: Annotated[str, typer.Option("--to", help="Last day, included.")],
    form: Annotated[ReportForm, typer.Option("--format")] = ReportForm.PDF,
    output: Annotated[
        Path | None, typer.Option("--output", help="Default: standard output.")
    ] = None,
    data_dir: DataDir = VAR,
) -> None:
    """Write the audit report of one agency: signed PDF/A-3 with its data, JSON, XLSX, or all."""
    from hegui.cli_admin import write_report

    write_report(agency_id, _day(first, "--from"), _day(last, "--to"), form.value, output, data_dir)


@app.command()
def demo(
    stay: Annotated[
        bool, typer.Option("--stay", help="Keep it running afterwards, to look around.")
    ] = False,
    output: Annotated[
        Path, typer.Option("--output", help="Folder for the report and what was seen.")
    ] = Path("var/demo"),
) -> None:
    """Run the whole product on recorded calls, as a client would, and show what it finds.

    Status 0 only if everything that should be found was found, and nothing else.
    """
    from hegui.demo import run_demo

    raise typer.Exit(run_demo(output, stay=stay))


def _day(text: str, option: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise RefusedError(f"{option}: {text} is not a day; write it as 2026-06-03") from error


def main() -> None:
    """Run the command line; every end has its status."""
    try:
        app()
    except RefusedError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(REFUSED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except Exception as error:  # noqa: BLE001  the last line: what nobody foresaw is status 3
        _explain(error)


def _explain(error: Exception) -> None:
    from rules import PackError
    from service.errors import MasterKeyError, ServiceError

    if isinstance(error, PackError):
        sys.stderr.write(f"the rule pack has {len(error.problems)} problems:\n{error}\n")
        sys.exit(REFUSED)
    is_told = isinstance(error, ServiceError) and error.status < ServiceError.status
    if isinstance(error, ServiceError) and (is_told or isinstance(error, MasterKeyError)):
        fields = "".join(f"\n  {problem.field}: {problem.message}" for problem in error.errors)
        sys.stderr.write(f"{error.detail}{fields}\n")
        sys.exit(REFUSED)
    traceback.print_exception(error)
    sys.stderr.write("hegui failed inside; this is a fault of hegui, not of its input\n")
    sys.exit(FAILED_INSIDE)
