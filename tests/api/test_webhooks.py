"""The webhook's door: what is taken, what is refused, and that nothing is counted twice."""

from starlette.testclient import TestClient

from tests.factories import make_agency, make_sms, make_tenant, post_event


def test_signed_event_is_taken_once_and_a_repetition_gets_the_same_receipt(
    client: TestClient,
) -> None:
    agency = make_agency(make_tenant())
    event = make_sms()

    first = post_event(client, agency, event, message_id="msg_1")
    again = post_event(client, agency, event, message_id="msg_1")

    assert first.status_code == 202, first.text
    assert again.status_code == 200
    assert again.content == first.content
