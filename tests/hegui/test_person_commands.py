"""The operator's commands of who may sign in."""

from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from hegui.cli import app
from hegui.errors import RefusedError
from tests.api.test_sign_in import EMAIL, cookie_of, enter, me, set_password
from tests.factories import Lender, Sender
from tests.hegui.test_access_commands import printed, run


def first_password(client: TestClient, made: dict[str, str]) -> None:
    made_by_api: Any = {"password_token": {"token": made["token"]}}
    assert set_password(client, made_by_api) == 204


def test_people_live_as_the_operator_says(
    client: TestClient, lender: Lender, tmp_path: Path
) -> None:
    of = ("--tenant", str(lender.id))
    made = run(tmp_path, "person", "add", EMAIL, "--name", "李娜", "--scope", "review", *of)
    first_password(client, made)
    again = CliRunner().invoke(
        app, ["person", "add", EMAIL, "--name", "x", *of, "--data-dir", str(tmp_path)]
    )

    seen = []
    for words in (
        ("sign-out", made["handle"]),
        ("suspend", made["id"]),
        ("suspend", made["id"]),
        ("resume", made["handle"]),
        ("role", made["handle"], "read"),
        ("remove", made["id"]),
    ):
        answer = enter(client, lender)
        auth = cookie_of(answer) if answer.status_code == 204 else {}
        run(tmp_path, "person", *words, *of)
        seen.append((words[0], answer.status_code, me(client, auth)))

    assert isinstance(again.exception, RefusedError)
    assert made["handle"] in str(again.exception)
    assert seen == [
        ("sign-out", 204, 401),
        ("suspend", 204, 401),
        ("suspend", 401, 401),
        ("resume", 401, 401),
        ("role", 204, 401),
        ("remove", 204, 401),
    ]
    assert f"{made['handle']}  lender  read  removed  {EMAIL}  李娜" in printed(
        tmp_path, "person", "list", *of
    )
    acts = client.get("/v1/audit", headers=lender.auth).json()["items"]
    told = [entry["action"] for entry in acts if entry["actor"] == "operator"]
    assert told[:5] == [
        "person_removed", "person_role_changed", "person_resumed", "person_suspended",
        "sessions_ended",
    ]  # fmt: skip


def test_people_of_agencies_regulators_and_operators_are_added(
    client: TestClient, lender: Lender, agency: Sender, tmp_path: Path
) -> None:
    regulator = run(tmp_path, "regulator", "add", "监管局")["regulator_id"]
    made = [
        run(tmp_path, "person", "add", EMAIL, "--name", "x", *words)
        for words in (
            ("--tenant", str(lender.id), "--agency", str(agency.id), "--scope", "quality"),
            ("--regulator", regulator),
            (),
        )
    ]
    token = run(tmp_path, "person", "token", made[2]["handle"])
    first_password(client, token)

    listed = printed(tmp_path, "person", "list")
    assert "regulator  read" in listed
    assert "operator  operate" in listed
    assert made[0]["handle"] not in listed
    body = {"email": EMAIL, "password": "七只蓝色的鲸鱼在唱歌 and nobody listens"}
    answer = client.post("/v1/session", json=body)
    client.cookies.clear()
    shown = client.get("/v1/me", headers=cookie_of(answer)).json()
    assert (shown["actor"], shown["person"]) == ("operator", made[2]["handle"])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("person", "add", "nobody", "--name", "x"), "EMAIL"),
        (("person", "add", EMAIL, "--name", "x", "--scope", "send"), "scope"),
        (("person", "add", EMAIL, "--name", "x", "--scope", "boss"), "--scope"),
        (("person", "suspend", "usr_nobody"), "PERSON"),
        (("person", "role", "usr_nobody", "boss"), "SCOPE"),
    ],
)
def test_a_wrong_word_is_named(
    client: TestClient, tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    done = CliRunner().invoke(app, [*words, "--data-dir", str(tmp_path)])

    assert isinstance(done.exception, RefusedError)
    assert told in str(done.exception)


def test_a_provider_is_set_shown_and_cleared(
    client: TestClient, lender: Lender, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of the client\n")
    of = ("--tenant", str(lender.id))
    words = ("--client-id", "c", "--secret-file", str(secret), "--domain", "bank.example")
    roles = ("--role-claim", "groups", "--role", "a=admin", "--role", "b=c=read")

    run(tmp_path, "provider", "set", "https://login.bank.example", *words, *roles, *of)
    shown = run(tmp_path, "provider", "show", *of)
    run(tmp_path, "provider", "clear", *of)

    assert shown == {
        "issuer": "https://login.bank.example", "client_id": "c", "domains": "bank.example",
        "role_claim": "groups", "roles": "a=admin,b=c=read",
    }  # fmt: skip
    run(tmp_path, "provider", "show", *of, expect=1)
