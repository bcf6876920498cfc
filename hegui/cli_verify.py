"""The commands `hegui verify` and `hegui ledger`: evidence held against keys and signed heads."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from hegui.cli_admin import VAR, DataDir, TenantId, lender_database
from hegui.errors import RefusedError

ledger = typer.Typer(name="ledger", rich_markup_mode=None)

WORDS = {
    "": ("真实 genuine", ""),
    "key_malformed": ("公钥格式不对", "the key is not of the form name+hash+base64"),
    "key_needed": ("需要公钥", "this file carries no key; give one with --key"),
    "file_unreadable": ("文件无法读取", "the file cannot be read"),
    "not_verifiable": ("不是可核验的文件", "this is no package, PDF or checkpoint of hegui"),
    "signature_refused": ("签名不成立", "the signature does not hold"),
    "zip_malformed": ("压缩包被改动", "the zip was changed"),
    "file_missing": ("缺少文件", "a file is missing"),
    "file_changed": ("文件被改动", "a file was changed"),
    "file_unlisted": ("有清单之外的文件", "a file is not on the list, or out of order"),
    "key_differs": ("公钥不符", "the key is not that of this ledger"),
    "schema_unknown": ("种类未知", "the package is of an unknown kind"),
    "checkpoint_differs": ("账本树头不符", "the head is not the one of the proofs"),
    "ledger_malformed": ("账本文件格式不对", "the ledger's proofs are malformed"),
    "leaf_differs": ("账本条目不符", "an entry is not what its number says"),
    "not_in_the_ledger": ("条目不在账本中", "an entry is not in the signed ledger"),
    "content_differs": ("条目内容不符", "an entry's content is not what was sealed"),
    "document_differs": ("文件与条目不符", "a document is not what its entry sealed"),
}


def verify(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="An evidence bundle (.zip), a report (.pdf, .zip) or a checkpoint (.txt).",
            show_default=False,
        ),
    ],
    key: Annotated[
        str | None,
        typer.Option("--key", help="Public key, or a file that holds it: GET /v1/ledger/key."),
    ] = None,
    form: Annotated[str, typer.Option("--format", help="text or json.")] = "text",
) -> None:
    """Say whether a file is genuine, or the first thing in it that is not. Asks nobody.

    Without --key the key in the file is used, and its fingerprint shown: compare it with one that
    reached you by another way.

    Status: 0 genuine; 1 not; 2 refused.
    """
    from hegui.verify import verify_file

    if form not in {"text", "json"}:
        raise RefusedError(f"--format: {form}: use text, json")
    if key is not None and Path(key).is_file():
        key = Path(key).read_text(encoding="utf-8").strip()
    found = verify_file(path, key)
    fingerprint = found.key.fingerprint if found.key is not None else None
    if form == "json":
        document = {
            "status": found.status,
            "problem": found.problem,
            "place": found.place,
            "facts": dict(found.facts),
            "key_fingerprint": fingerprint,
            "key_given": found.is_pinned,
        }
        sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
        raise typer.Exit(found.status)
    chinese, english = WORDS[found.problem]
    if found.status:
        sys.stdout.write(f"{path}: 不真实 NOT genuine · " if found.status == 1 else f"{path}: ")
        sys.stdout.write(f"{chinese} {english}{f' ({found.place})' if found.place else ''}\n")
    else:
        sys.stdout.write(f"{path}: {chinese}\n")
        for name, value in found.facts.items():
            sys.stdout.write(f"  {name}: {value}\n")
        sys.stdout.write(f"  key: {fingerprint}\n")
        if not found.is_pinned:
            sys.stderr.write(
                "没有给出公钥：以上只说明文件与其自带的公钥相符，请核对指纹。\n"
                "No key was given: the file holds against the key that it brought along. "
                "Compare the fingerprint.\n"
            )
    raise typer.Exit(found.status)


@ledger.command("audit")
def ledger_audit(
    tenant_id: TenantId,
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option("--checkpoint", help="A checkpoint that was kept elsewhere; repeatable."),
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key", help="Hold signatures against this key alone.")
    ] = None,
    data_dir: DataDir = VAR,
) -> None:
    """Read the whole ledger again and name the first entry that is not as it was sealed.

    Status: 0 all is as it was sealed; 1 something is not; 2 refused.
    """
    from service.db import tenant_session
    from service.evidence.checkpoint import NoteError
    from service.evidence.ledger_audit import audit_ledger

    notes = [path.read_text(encoding="utf-8") for path in checkpoint or []]
    with lender_database(data_dir, tenant_id) as lender:
        try:
            with tenant_session(lender) as session:
                found = audit_ledger(session, tenant_id=lender, witnessed=notes, key=key)
        except NoteError as error:
            raise RefusedError(f"--checkpoint: {error}") from error
    sys.stdout.write(
        f"entries={found.size}\ncheckpoints={found.checkpoints}\nerased={found.erased}\n"
    )
    for flaw in sorted(found.flaws, key=lambda one: (one.seq is None, one.seq or 0)):
        seq = "-" if flaw.seq is None else flaw.seq
        sys.stdout.write(f"flaw={flaw.code} entry={seq} {flaw.source} {flaw.source_id}\n")
    raise typer.Exit(1 if found.flaws else 0)


@ledger.command("key")
def ledger_key(tenant_id: TenantId, data_dir: DataDir = VAR) -> None:
    """Print the public key of a lender's ledger, for `hegui verify --key`."""
    from service.db import tenant_session
    from service.evidence.ledger_read import list_keys

    with lender_database(data_dir, tenant_id) as lender, tenant_session(lender) as session:
        for key in list_keys(session, lender):
            sys.stdout.write(f"{key}\n")
