"""The typed client has every operation, reads every answer, waits when told, and names refusals."""

import filecmp
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pydantic import BaseModel, TypeAdapter
from starlette.testclient import TestClient

from hegui.client import ApiError, HeguiClient, UnreachableError, pages
from hegui.client.group import by_name
from hegui.client_generator import FOLDER, routes, write
from hegui.transport import BadAddressError
from rules.events import EVENT
from service.api.review_samples import DrawIn
from service.app import create_app
from tests.factories import Lender, Sender
from tests.local_server import Handler, LocalServer
from tests.people import make_reviewer, send_threat


def test_the_operations_are_what_the_api_has(tmp_path: Path) -> None:
    write(tmp_path)

    names = sorted(path.name for path in tmp_path.glob("*.py"))
    assert names == sorted(path.name for path in FOLDER.glob("*.py"))
    _, differing, failed = filecmp.cmpfiles(tmp_path, FOLDER, names, shallow=False)
    told = "run: .venv/bin/python -m hegui.client_generator"
    assert (differing, failed) == ([], []), told
    methods = {
        (path, method.upper())
        for path, found in create_app().openapi()["paths"].items()
        for method in found
        if "303" not in found[method]["responses"]
    }
    assert {(route.path, method) for route in routes() for method in route.methods or ()} == methods


def test_the_shapes_take_every_example_of_the_openapi() -> None:
    document = create_app().openapi()
    shapes = {
        kind.__name__: kind
        for route in routes()
        for kind in (
            route.response_model,
            route.body_field and route.body_field.field_info.annotation,
        )
        if isinstance(kind, type) and issubclass(kind, BaseModel)
    }
    taken = 0
    for name, schema in document["components"]["schemas"].items():
        for example in schema.get("examples", ()):
            shapes[name].model_validate(example)
            taken += 1
        for field, inner in schema.get("properties", {}).items():
            for example in inner.get("examples", ()):
                kind = shapes.get(name)
                if kind is None or field not in kind.model_fields:
                    continue
                held: Any = kind.model_fields[field].annotation
                TypeAdapter(held).validate_python(example)
                taken += 1
    events = document["paths"]["/v1/webhooks/{agency_id}"]["post"]["requestBody"]["content"]
    for example in events["application/json"]["examples"].values():
        EVENT.validate_python(example["value"])
        taken += 1
    assert taken > 20


def test_a_program_works_through_the_queue(
    port: int,
    client: TestClient,
    lender: Lender,
    agency: Sender,
    run_jobs: Callable[[], None],
) -> None:
    for number in range(3):
        send_threat(client, agency, number)
    run_jobs()
    key = make_reviewer(lender)["authorization"].removeprefix("Bearer ")

    with HeguiClient(f"http://127.0.0.1:{port}", key) as reader:
        waiting = list(pages(reader.reviews.list_queue, rule="THR-02", free=True))
        assert len(waiting) == 3
        first = waiting[0].finding
        reader.reviews.post_claim(first.id)
        made = reader.reviews.post_review(
            first.id, {"decision": "dismiss", "reason": "听过录音，不是威胁"}
        )
        assert made.finding_id == first.id
        (stood,) = (row for row in pages(reader.findings.list_findings) if row.review is not None)
        assert (stood.id, stood.review.state) == (first.id, "dismiss")
        with pytest.raises(ApiError) as refused:
            reader.reviews.post_claim(uuid4())
        assert (refused.value.status, refused.value.code) == (404, "not_found")
        with pytest.raises(ApiError) as wrong:
            reader.reviews.post_review(first.id, {"decision": "perhaps"})
        assert {each["field"] for each in wrong.value.errors} >= {"decision", "reason"}

    june = datetime(2026, 6, 1, tzinfo=UTC)
    with HeguiClient(f"http://127.0.0.1:{port}", lender.key) as admin:
        wish = DrawIn.model_validate(
            {"method": "random", "from": june, "to": june + timedelta(days=30), "size": 2}
        )
        drawn = admin.review_samples.post_sample(wish)
        assert (drawn.size, drawn.since) == (2, june)
        assert [each.id for each in pages(admin.review_samples.list_samples)] == [drawn.id]
        card = admin.scorecards.get_card(agency.id, since=june)
        assert (card.agency_id, card.counts.contacts) == (agency.id, 3)
        assert admin.checks.get_agency_check(agency.id, since=june).interactions == 3
        assert admin.scorecards.get_badge(agency.id).startswith(b"<svg")


Script = tuple[tuple[int, dict[str, str]], ...]


class Moody(LocalServer):
    """Answers as its script says, then 200."""

    def __init__(self, *script: tuple[int, dict[str, str]]) -> None:
        self.script = list(script)
        self.asked: list[tuple[str, float]] = []


class _Answers(Handler):
    def do_GET(self) -> None:  # noqa: N802  http.server looks for this name
        owner: Moody = self.server.owner
        owner.asked.append((self.command, time.monotonic()))
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        status, headers = owner.script.pop(0) if owner.script else (200, {})
        body = b'{"items": [], "code": "busy", "detail": "come back"}'
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815  http.server looks for this name


Moody.handler = _Answers


def test_the_client_waits_as_long_as_it_is_told_and_not_for_ever() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=1), usegmt=True)
    script: Script = ((429, {"Retry-After": "1"}), (503, {"Retry-After": soon}), (503, {}))
    with Moody(*script) as server, HeguiClient(f"http://{server.address}", "key") as client:
        assert client.agencies.list_agencies().items == []
    moments = [at for _, at in server.asked]
    assert len(moments) == 4
    assert moments[1] - moments[0] >= 1

    with (
        Moody(*[(503, {"Retry-After": "0"})] * 9) as server,
        HeguiClient(f"http://{server.address}", "key", attempts=3) as client,
        pytest.raises(ApiError) as over,
    ):
        client.reviews.post_claim(uuid4())
    assert (over.value.status, over.value.code, len(server.asked)) == (503, "busy", 3)


def test_what_is_refused_or_broken_is_not_asked_again() -> None:
    script: Script = ((400, {}), (500, {}))
    with Moody(*script) as server, HeguiClient(f"http://{server.address}", "key") as client:
        with pytest.raises(ApiError):
            client.agencies.list_agencies()
        with pytest.raises(UnreachableError):
            client.agencies.list_agencies()
    assert len(server.asked) == 2
    gone = HeguiClient(f"http://{server.address}", "key", attempts=2)
    with gone, pytest.raises(UnreachableError):
        gone.agencies.list_agencies()
    with HeguiClient("nonsense", "key") as client, pytest.raises(BadAddressError):
        client.agencies.list_agencies()


def test_answers_are_read_under_the_names_of_their_shapes() -> None:
    class Inner(BaseModel):
        since: int

    Inner.model_fields["since"].serialization_alias = "from"

    class Outer(BaseModel):
        many: list[Inner]
        named: dict[str, Inner]
        one: Inner | None

    document: Any = {"many": [{"from": 1}], "named": {"a": {"from": 2}}, "one": {"from": 3}}
    read = Outer.model_validate(by_name(document, Outer))
    assert (read.many[0].since, read.named["a"].since, read.one and read.one.since) == (1, 2, 3)
