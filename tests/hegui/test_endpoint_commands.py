"""`hegui endpoint list|change|remove`: what an operator does with addresses of alerts."""

from pathlib import Path
from uuid import uuid4

import pytest
from sqlmodel import select
from typer.testing import CliRunner

from hegui.cli import app
from service.alerts.endpoints import EndpointWish, add_endpoint
from service.db import tenant_session
from service.models import Endpoint, EndpointKind
from tests.conftest import Database
from tests.factories import Lender, make_agency, make_tenant

ROBOT = "https://oapi.dingtalk.com/robot/send?access_token=verysecret"


@pytest.fixture
def lender(database: Database, clean: None) -> Lender:
    return make_tenant()


def run(lender: Lender, folder: Path, *words: str) -> tuple[int, str]:
    command = ["endpoint", *words, "--tenant", str(lender.id), "--data-dir", str(folder)]
    done = CliRunner().invoke(app, command)
    return done.exit_code, f"{done.stdout}{done.stderr}{done.exception or ''}"


def only_endpoint(lender: Lender) -> Endpoint:
    with tenant_session(lender.id) as session:
        return session.exec(select(Endpoint)).one()


def test_an_operator_lists_changes_and_removes_an_endpoint(lender: Lender, tmp_path: Path) -> None:
    agency = make_agency(lender)
    wish = EndpointWish(url=ROBOT, kind=EndpointKind.DINGTALK, secret="SEC0123")
    with tenant_session(lender.id) as session:
        made = add_endpoint(session, tenant_id=lender.id, wish=wish, by="test")
    key = str(made.id)

    code, shown = run(lender, tmp_path, "list")
    assert code == 0
    assert f"{key}  dingtalk  https://oapi.dingtalk.com/…  low,violation  on\n" in shown
    assert "verysecret" not in shown

    code, _ = run(
        lender, tmp_path, "change", key, "--off", "--family", "THR", "--agency", str(agency.id),
        "--lowest-severity", "high", "--disposition", "review", "--window-s", "120",
    )  # fmt: skip
    row = only_endpoint(lender)
    assert (code, row.active, row.families, row.agencies) == (0, False, ["THR"], [str(agency.id)])
    assert (row.lowest_severity, row.dispositions, row.window_s) == ("high", ["review"], 120)
    assert "off: switched off by the lender" in run(lender, tmp_path, "list")[1]

    assert (
        run(lender, tmp_path, "change", key, "--on", "--family", "all", "--agency", "all")[0] == 0
    )
    row = only_endpoint(lender)
    assert (row.active, row.families, row.agencies) == (True, None, None)
    assert run(lender, tmp_path, "remove", key)[0] == 0
    assert run(lender, tmp_path, "list") == (0, "")
    code, told = run(lender, tmp_path, "remove", key)
    assert code != 0
    assert "no such endpoint" in told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("change", "x"), "nothing to change"),
        (("change", "x", "--on"), "ID: x"),
        (("change", str(uuid4()), "--lowest-severity", "deadly"), "--lowest-severity"),
        (("change", str(uuid4()), "--on"), "no such endpoint"),
    ],
)
def test_a_wrong_word_is_named(
    lender: Lender, tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    code, said = run(lender, tmp_path, *words)

    assert code != 0
    assert told in said
