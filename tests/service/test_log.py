"""Logs hold identifiers and counts, whatever is thrown at them."""

import json
import logging

import psycopg
import pytest

from service import log
from service.config import Settings
from tests.conftest import Database

MARK = "泼油漆13800138000"


@pytest.fixture
def as_json() -> None:
    log.configure(Settings(log_format="json"))


def test_fields_that_are_not_listed_are_dropped_by_name(
    as_json: None, capsys: pytest.CaptureFixture[str]
) -> None:
    log.get("test").info("recording_checked", findings=2, text=MARK, phone=MARK)

    line = capsys.readouterr().err
    assert json.loads(line)["findings"] == 2
    assert json.loads(line)["dropped"] == ["phone", "text"]
    assert MARK not in line


def test_error_is_written_without_its_words(
    as_json: None, capsys: pytest.CaptureFixture[str], database: Database
) -> None:
    try:
        with psycopg.connect(database.app_url) as connection:
            connection.execute("select %s::uuid", (MARK,))
    except psycopg.Error as error:
        log.get("test").error("request_failed", exc_info=error)
        logging.getLogger("uvicorn.error").exception("failed", exc_info=error)

    written = capsys.readouterr().err
    first, second = (json.loads(line) for line in written.splitlines())
    assert first["error"] == second["error"] == "InvalidTextRepresentation"
    assert first["sqlstate"] == "22P02"
    assert any("test_log.py" in frame for frame in first["frames"])
    assert MARK not in written
