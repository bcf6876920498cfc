"""Whoever has a copy of the database and of the store finds no secret, no voice and no free text.

What is not promised (docs/security.md) is named here too: the quotes of findings.
"""

import hashlib
import re
from base64 import b64decode
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg.types.json import Jsonb
from sqlmodel import SQLModel, select
from starlette.testclient import TestClient

from rules.events import Segment, Speaker
from service.access.oidc import ProviderWish, find_provider, set_provider
from service.clock import now
from service.config import settings
from service.db import tenant_session
from service.errors import MasterKeyError
from service.evidence.ledger_audit import audit_ledger
from service.evidence.ledger_models import LedgerEntry
from service.evidence.ledger_run import run_sealer
from service.models import (
    Endpoint,
    InteractionRow,
    TranscriptPiece,
    TranscriptRow,
    WebhookSource,
)
from service.people.models import DisputeRow, ReviewRow
from service.privacy import data_keys, sealing
from service.privacy.resealing import reseal_fields
from service.privacy.sealed_fields import MARK, open_text, opened, seal_text
from service.privacy.sealed_words import open_piece, segments_of, words_of
from service.transcribe import Heard, Hearing, StoredPiece, load_recording, store_piece
from service.transcribe import store_transcript as store_heard
from tests.conftest import Database
from tests.factories import (
    Lender,
    Sender,
    make_call,
    make_case,
    make_recording,
    post_event,
    put_recording,
)
from tests.people import (
    act,
    draw_all_twice,
    findings,
    make_quality,
    make_reviewer,
    review,
    send_threat,
)

AUDIO = b"RIFF marked bytes of a voice " * 400
FILE = b"%PDF-1.7 marked bytes of a file " * 400
TOKEN, SECRET = "b0a7c1d2e3f4", "SECdingtalkmarked0123456789"
REASONS = {
    "review": "复核标记：听见了张三丰的话",
    "second": "二读标记：电话是他本人接的",
    "dispute": "申诉标记：催收员叫李寻欢",
    "judgement": "裁定标记：家住桃花岛",
    "reading": "抽样标记：提到其弟阿飞",
}


def dump(database: Database) -> str:
    """Every row of every table as text; bytes are in hex there."""
    with psycopg.connect(database.superuser_url) as connection:
        tables = connection.execute(
            "select relname from pg_class where relkind in ('r', 'p')"
            " and relnamespace = 'public'::regnamespace order by relname"
        ).fetchall()
        rows = [
            row
            for (table,) in tables
            for (row,) in connection.execute(f'select t::text from "{table}" as t'.encode())
        ]
    return "\n".join(rows)


def is_in(mark: str, held: str) -> bool:
    return mark in held or mark.encode().hex() in held


def files_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


SAID = "标记的话：我在柠檬公司上班"


def begin_hearing(client: TestClient, lender: Lender, agency: Sender) -> Hearing:
    """A call whose bytes are here, claimed by us, with one piece stored."""
    assert post_event(client, agency, make_case()).status_code == 202
    call = make_call(interaction_id="C-1", recording=make_recording(AUDIO))
    assert post_event(client, agency, call).status_code == 202
    assert put_recording(client, agency, AUDIO).status_code == 201
    with tenant_session(lender.id) as session:
        known = select(InteractionRow.id).where(InteractionRow.interaction_id == "C-1")
        row = session.exec(known).one()
    with tenant_session(lender.id) as session:
        work = load_recording(session, tenant_id=lender.id, interaction_id=row, now=now())
        assert work is not None
        piece = StoredPiece(0, "key", 2.0, {"text": SAID, "at": 0.30000000000000004})
        store_piece(session, work, piece, progress=0.5, now=now())
    return work


def end_hearing(work: Hearing) -> None:
    segment = Segment(speaker=Speaker.COLLECTOR, start=0.1, end=2, text=SAID)
    with tenant_session(work.tenant_id) as session:
        heard = Heard((segment,), "openai-whisper", "0" * 64, {}, 2.0, 0.0)
        store_heard(session, work, heard, now=now())


@pytest.fixture
def quality(lender: Lender, agency: Sender) -> dict[str, str]:
    return make_quality(lender, agency)


@pytest.fixture
def webhook(client: TestClient, lender: Lender, agency: Sender) -> dict[str, str]:
    """A lender with every kind of secret; gives those by what they are."""
    made = {}
    hook = {"url": f"https://lender.example/alerts?token={TOKEN}"}
    made["webhook"] = act(client, lender.auth, "/v1/endpoints", hook, expect=201)["secret"]
    robot = f"https://oapi.dingtalk.com/robot/send?access_token={TOKEN}9"
    wish = {"url": robot, "kind": "dingtalk", "secret": SECRET}
    act(client, lender.auth, "/v1/endpoints", wish, expect=201)
    path = f"/v1/agencies/{agency.id}/secret"
    made["source"] = act(client, lender.auth, path, expect=201)["webhook_secret"]
    asked = client.put(
        f"/v1/agencies/{agency.id}/endpoint",
        json={"url": f"https://agency.example/ask/{TOKEN}"},
        headers=lender.auth,
    )
    made["asked"] = asked.json()["secret"]
    return made


@pytest.fixture
def spoken(
    client: TestClient,
    lender: Lender,
    agency: Sender,
    quality: dict[str, str],
    run_jobs: Callable[[], None],
) -> None:
    """Contacts that people read, reviewed, disputed with a file, and judged."""
    for number in range(2):
        send_threat(client, agency, number, interaction_id=f"S-{number}")
    run_jobs()
    first, second, judge = (make_reviewer(lender) for _ in range(3))
    found, disputed = findings(client, lender.auth)[:2]
    review(client, first, found["id"], "confirm", reason=REASONS["review"])
    path = f"/v1/findings/{disputed['id']}/disputes"
    dispute = act(client, quality, path, {"text": REASONS["dispute"]}, expect=201)
    name = hashlib.sha256(FILE).hexdigest()
    sent = client.put(
        f"/v1/disputes/{dispute['id']}/files/{name}",
        content=FILE,
        headers={**quality, "content-type": "application/pdf"},
    )
    assert sent.status_code == 201, sent.text
    told = {"upheld": False, "reason": REASONS["judgement"]}
    act(client, judge, f"/v1/disputes/{dispute['id']}/judgement", told, expect=201)
    sample = draw_all_twice(lender)
    contact = found["interaction"]
    for reader, which, reason in ((first, "first", "reading"), (second, "second", "second")):
        item = f"/v1/reviews/samples/{sample}/items/{contact}"
        act(client, reader, f"{item}/claim", {"reading": which})
        body = {"reading": which, "missed": [], "reason": REASONS[reason]}
        act(client, reader, f"{item}/reading", body, expect=201)


@pytest.mark.asvs("11.3.2", "13.3.1", "14.2.4")
def test_a_copy_of_database_and_store_holds_no_secret_no_voice_and_no_free_text(
    client: TestClient,
    lender: Lender,
    agency: Sender,
    database: Database,
    webhook: dict[str, str],
    spoken: None,
) -> None:
    assert put_recording(client, agency, AUDIO).status_code == 201
    held, stored = dump(database), files_of(settings().object_dir / str(lender.id))

    assert len(held) > 20_000
    assert is_in("K-0", held), "what is not sealed is found"
    marks = [*webhook.values(), agency.secret, TOKEN, SECRET, *REASONS.values()]
    assert [mark for mark in marks if is_in(mark, held)] == []
    assert len(stored) > len(AUDIO) + len(FILE)
    assert b"marked bytes" not in stored


@pytest.mark.asvs("11.3.2", "14.2.4")
def test_what_was_heard_lies_sealed_and_is_read_as_it_was_heard(
    client: TestClient, lender: Lender, agency: Sender, database: Database
) -> None:
    work = begin_hearing(client, lender, agency)
    assert not is_in(SAID, dump(database)), "a piece in the making"
    with tenant_session(lender.id) as session:
        (piece,) = session.exec(select(TranscriptPiece)).all()
        assert open_piece(piece) == {"text": SAID, "at": 0.30000000000000004}
    end_hearing(work)

    held = dump(database)

    assert is_in("openai-whisper", held)
    assert not is_in(SAID, held)
    path = f"/v1/interactions/{work.interaction_id}/transcript"
    (shown,) = client.get(path, headers=lender.auth).json()["segments"]
    assert (shown["text"], shown["start"]) == (SAID, 0.1)


@pytest.mark.asvs("11.3.3")
def test_a_transcript_of_an_earlier_release_is_sealed_without_a_mark_in_the_ledger(
    client: TestClient, lender: Lender, agency: Sender, database: Database
) -> None:
    end_hearing(begin_hearing(client, lender, agency))
    plain = [{"speaker": "collector", "start": 0.10, "end": 2, "text": SAID, "doubts": []}]
    with psycopg.connect(database.superuser_url) as connection:
        connection.execute("set session_replication_role = replica")
        connection.execute(
            "update transcript set segments = %s, words = '[[]]', sealed_segments = null,"
            " sealed_words = null",
            (Jsonb(plain),),
        )
    run_sealer(lender.id)
    assert is_in(SAID, dump(database))

    with tenant_session(lender.id) as session:
        assert reseal_fields(session, tenant_id=lender.id) == 1
    run_sealer(lender.id)

    assert not is_in(SAID, dump(database))
    with tenant_session(lender.id) as session:
        (row,) = session.exec(select(TranscriptRow)).all()
        assert (segments_of(row), words_of(row)) == (plain, [[]])
        assert audit_ledger(session, tenant_id=lender.id).flaws == []
        kinds = session.exec(select(LedgerEntry.kind)).all()
        assert kinds.count("transcript") == 1
    with psycopg.connect(database.superuser_url) as connection:
        connection.execute("set session_replication_role = replica")
        connection.execute(
            "update transcript set sealed_segments = sealed_words, sealed_words = sealed_segments"
        )
    with tenant_session(lender.id) as session:
        first = audit_ledger(session, tenant_id=lender.id).first
    assert first is not None
    assert (first.source, first.code) == ("transcript", "row_changed")


@pytest.mark.asvs("11.2.2")
def test_what_earlier_releases_wrote_is_read_and_sealed_by_the_reseal(
    client: TestClient,
    lender: Lender,
    agency: Sender,
    database: Database,
    webhook: dict[str, str],
    spoken: None,
) -> None:
    plain = {
        "webhook_source": {"secret_current": webhook["source"]},
        "endpoint": {"url": "https://old.example/x", "secret": webhook["webhook"]},
        "review": {"reason": REASONS["review"]},
        "review_reading": {"reason": REASONS["reading"]},
        "dispute": {"text": REASONS["dispute"], "reason": REASONS["judgement"]},
    }
    with psycopg.connect(database.superuser_url) as connection:
        connection.execute("set session_replication_role = replica")
        for table, columns in plain.items():
            for column, text in columns.items():
                connection.execute(f"update {table} set {column} = %s".encode(), (text,))

    with tenant_session(lender.id) as session:
        count = reseal_fields(session, tenant_id=lender.id)
    while count:
        with tenant_session(lender.id) as session:
            count = reseal_fields(session, tenant_id=lender.id)

    held = dump(database)
    words = [text for columns in plain.values() for text in columns.values()]
    assert [text for text in words if is_in(text, held)] == []
    models: tuple[type[SQLModel], ...] = (WebhookSource, Endpoint, ReviewRow, DisputeRow)
    with tenant_session(lender.id) as session:
        for model in models:
            for row in session.exec(select(model)).all():
                for column, text in plain[str(model.__tablename__)].items():
                    assert getattr(row, column).startswith(MARK)
                    assert opened(row, column) == text


def test_after_rotation_and_reseal_nothing_anywhere_names_the_old_key(
    client: TestClient,
    lender: Lender,
    agency: Sender,
    database: Database,
    webhook: dict[str, str],
    spoken: None,
) -> None:
    begin_hearing(client, lender, agency)
    wish = ProviderWish("https://login.example", "hegui", "client secret of the lender")
    with tenant_session(lender.id) as session:
        set_provider(session, lender.id, wish, by="test")
        old = sealing.load_keys(lender.id).current
        data_keys.rotate_key(session, tenant_id=lender.id, by="test")
    sealing.forget_keys()
    counts: list[int] = []
    while not counts or counts[-1]:
        with tenant_session(lender.id) as session:
            counts.append(reseal_fields(session, tenant_id=lender.id))
    with tenant_session(lender.id) as session:
        assert data_keys.reseal(session, tenant_id=lender.id).after is None

    held = dump(database)

    texts = [b64decode(found).hex() for found in re.findall(r"hegui/sealed/1:([^\",)]+)", held)]
    assert len(texts) >= 10
    assert sum(counts) >= len(texts)
    assert [place for place in (held, *texts) if old.hex in place] == []
    with tenant_session(lender.id) as session:
        before = now() + timedelta(seconds=1)
        dropped = data_keys.drop_unused(session, tenant_id=lender.id, before=before, by="test")
        provider = find_provider(session)
    assert dropped == 1
    sealing.forget_keys()
    assert provider is not None
    about = sealing.about_field(lender.id, "oidc_provider", "", "client_secret")
    opened_secret = sealing.unseal(lender.id, provider.client_secret, about)
    assert opened_secret == b"client secret of the lender"


@pytest.mark.asvs("13.2.2")
def test_a_decision_keeps_what_was_decided_and_its_reason(
    client: TestClient, lender: Lender, database: Database, spoken: None
) -> None:
    for statement in (
        "update review set reason = ''",
        "update review set reason = '另一个理由'",
        "update review_reading set reason = ''",
        "update dispute set text = ''",
        "update dispute set reason = 'x'",
        "delete from dispute_file",
    ):
        with psycopg.connect(database.app_url) as connection:
            connection.execute("select set_config('app.tenant_id', %s, true)", (str(lender.id),))
            with pytest.raises(psycopg.DatabaseError) as refused:
                connection.execute(statement.encode())
            assert refused.value.sqlstate == "HG002"
    with psycopg.connect(database.app_url) as connection:
        connection.execute("select set_config('app.tenant_id', %s, true)", (str(lender.id),))
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("update review set decision = 'dismiss'")


def test_a_moved_text_does_not_open(lender: Lender, webhook: dict[str, str]) -> None:
    sealed = seal_text(lender.id, "review", "1", "reason", "words")

    assert open_text(lender.id, "review", "1", "reason", sealed) == "words"
    for place in (("review", "2", "reason"), ("dispute", "1", "reason"), ("review", "1", "text")):
        with pytest.raises(MasterKeyError):
            open_text(lender.id, *place, sealed)
