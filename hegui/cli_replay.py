"""The commands `hegui replay` and `hegui backtest`: old contacts judged again, nothing written."""

import json
import sys
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hegui.cli_admin import VAR, DataDir, TenantId, lender_database, read_id
from hegui.errors import RefusedError

if TYPE_CHECKING:
    from rules import Pack
    from service.evidence.replay import Backtest

PackName = Annotated[str, typer.Option("--pack", help="A pack's name, or the folder of its files.")]


def replay(
    interaction: Annotated[
        str, typer.Argument(metavar="ID", help="The interaction's id.", show_default=False)
    ],
    tenant_id: TenantId,
    pack: PackName = "collection",
    data_dir: DataDir = VAR,
) -> None:
    """Judge a contact again and compare with its stored verdict; writes nothing.

    With the pack that it was judged by (an old release's folder), the same bytes come out.

    Status: 0 the same; 1 something differs, and what; 2 refused.
    """
    from service.db import tenant_session
    from service.evidence.replay import replay as replay_interaction

    chosen = _pack(pack, "--pack")
    with lender_database(data_dir, tenant_id) as lender, tenant_session(lender) as session:
        found = replay_interaction(session, chosen, read_id(interaction, "ID"))
    sys.stdout.write(
        f"revision={found.revision}\npack_digest={found.pack_digest}\noutcome={found.outcome}\n"
        f"findings_digest={found.made_digest}\nstored_digest={found.stored_digest}\n"
        f"differs={','.join(found.differs) or '-'}\n"
    )
    raise typer.Exit(1 if found.differs else 0)


def backtest(
    tenant_id: TenantId,
    pack: PackName,
    against: Annotated[
        str, typer.Option("--against", help="The pack that it is compared with; name or folder.")
    ],
    first: Annotated[str, typer.Option("--from", help="First day, YYYY-MM-DD, Asia/Shanghai.")],
    last: Annotated[str, typer.Option("--to", help="Last day, included.")],
    form: Annotated[str, typer.Option("--format", help="text or json.")] = "text",
    data_dir: DataDir = VAR,
) -> None:
    """Say what a pack would find more, and less, than another on stored contacts; writes nothing.

    Findings are counted by rule and agency, with samples whose personal data is blotted out.
    """
    from service.db import tenant_session
    from service.evidence.replay import Backtest, backtest_case, list_cases
    from service.evidence.report import ReportPeriod

    if form not in {"text", "json"}:
        raise RefusedError(f"--format: {form}: use text, json")
    period = ReportPeriod(_day(first, "--from"), _day(last, "--to"))
    packs = (_pack(pack, "--pack"), _pack(against, "--against"))
    since, until = period.bounds
    found = Backtest()
    with lender_database(data_dir, tenant_id) as lender:
        with tenant_session(lender) as session:
            cases = list_cases(session, since, until)
        for case_id in cases:
            with tenant_session(lender) as session:
                backtest_case(session, found, packs, case_id, since=since, until=until)
    _show(found, packs, form)


def _show(found: "Backtest", packs: "tuple[Pack, Pack]", form: str) -> None:
    document: dict[str, Any] = {
        "schema": "hegui.backtest/1",
        "pack": packs[0].digest,
        "against": packs[1].digest,
        "cases": found.cases,
        "contacts": found.contacts,
        "outcomes": dict(sorted(found.outcomes.items())),
        "changes": [
            {
                "rule": one.rule,
                "agency": one.agency,
                "added": one.added,
                "removed": one.removed,
                "samples": one.samples,
            }
            for one in found.rows
        ],
    }
    if form == "json":
        sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2) + "\n")
        return
    sys.stdout.write(f"cases={found.cases} contacts={found.contacts}\n")
    for name, count in document["outcomes"].items():
        sys.stdout.write(f"outcome {name}: {count}\n")
    for one in found.rows:
        sys.stdout.write(f"{one.rule} {one.agency}: +{one.added} -{one.removed}\n")
        for sample in one.samples:
            sys.stdout.write(f"    {sample}\n")
    if not found.rows:
        sys.stdout.write("no finding differs\n")


def _day(text: str, option: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise RefusedError(f"{option}: {text} is not a day; write it as 2026-06-03") from error


def _pack(name: str, option: str) -> "Pack":
    from service.evidence.replay import read_pack

    try:
        return read_pack(name)
    except FileNotFoundError as error:
        raise RefusedError(f"{option}: {error}") from error
