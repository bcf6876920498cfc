"""`hegui endpoint add` takes a subscription, and refuses by the name of the option."""

from pathlib import Path

import pytest
from sqlmodel import select
from typer.testing import CliRunner

from hegui.cli import app
from service.db import tenant_session
from service.models import Endpoint
from tests.conftest import Database
from tests.factories import Lender, make_agency, make_tenant

URL = "https://oapi.dingtalk.com/robot/send?access_token=token"


@pytest.fixture
def lender(database: Database, clean: None) -> Lender:
    return make_tenant()


def run(lender: Lender, folder: Path, *options: str) -> tuple[int, str, str]:
    command = ["endpoint", "add", "--tenant", str(lender.id), "--data-dir", str(folder), *options]
    done = CliRunner().invoke(app, command)
    return done.exit_code, done.stdout, f"{done.stderr}{done.exception or ''}"


def test_a_robot_is_added_with_its_subscription(lender: Lender, tmp_path: Path) -> None:
    agency = make_agency(lender)

    code, shown, _ = run(
        lender, tmp_path, URL, "--kind", "dingtalk", "--secret", "SEC0123", "--family", "THR",
        "--family", "ABU", "--lowest-severity", "high", "--disposition", "review",
        "--agency", str(agency.id), "--window-s", "300",
    )  # fmt: skip

    assert code == 0
    assert "SEC0123" not in shown
    with tenant_session(lender.id) as session:
        made = session.exec(select(Endpoint)).one()
    assert shown.startswith(f"endpoint_id={made.id}\n")
    assert (made.kind, made.families, made.agencies) == (
        "dingtalk",
        ["ABU", "THR"],
        [str(agency.id)],
    )
    assert (made.lowest_severity, made.dispositions, made.window_s) == ("high", ["review"], 300)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ((URL, "--kind", "pager"), "--kind"),
        ((URL, "--kind", "dingtalk"), "secret"),
        (("http://10.0.0.1/",), "url"),
        ((URL, "--disposition", "maybe"), "--disposition"),
    ],
)
def test_a_wrong_option_is_named(
    lender: Lender, tmp_path: Path, options: tuple[str, ...], word: str
) -> None:
    code, _, told = run(lender, tmp_path, *options)

    assert code != 0
    assert word in told
    with tenant_session(lender.id) as session:
        assert session.exec(select(Endpoint)).all() == []
