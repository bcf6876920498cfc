"""Made-up events that show the shapes in the OpenAPI."""

from typing import Any

EVENTS: dict[str, Any] = {
    "call": {
        "summary": "A call whose recording is uploaded under its hash",
        "value": {
            "type": "interaction.completed",
            "timestamp": "2026-06-03T10:15:00+08:00",
            "data": {
                "interaction_id": "C-2026-000123",
                "case_id": "K-7781",
                "channel": "call",
                "direction": "outbound",
                "started_at": "2026-06-03T10:12:00+08:00",
                "outcome": "answered",
                "talk_seconds": 74,
                "collector": {"id": "E-104"},
                "campaign": "2026-spring",
                "party": {"role": "debtor", "phone": "+8613800000001"},
                "recording": {
                    "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                    "duration_seconds": 74.2,
                    "speakers": ["collector", "party"],
                },
            },
        },
    },
    "sms": {
        "summary": "A text message",
        "value": {
            "type": "interaction.completed",
            "timestamp": "2026-06-03T11:00:00+08:00",
            "data": {
                "interaction_id": "S-2026-000124",
                "case_id": "K-7781",
                "channel": "sms",
                "direction": "outbound",
                "started_at": "2026-06-03T11:00:00+08:00",
                "outcome": "delivered",
                "collector": {"id": "E-104"},
                "party": {"role": "debtor", "phone": "+8613800000001"},
                "text": "您的账单已逾期，请尽快与我们联系。",
            },
        },
    },
    "case": {
        "summary": "What is known of a case",
        "value": {
            "type": "case.upserted",
            "timestamp": "2026-06-01T09:00:00+08:00",
            "data": {
                "case_id": "K-7781",
                "product": "credit_card",
                "balance": "5230.00",
                "debtor": {"name": "示例", "phones": ["+8613800000001"]},
            },
        },
    },
    "stop": {
        "summary": "Somebody asked not to be contacted again",
        "value": {
            "type": "stop.requested",
            "timestamp": "2026-06-04T09:00:00+08:00",
            "data": {
                "case_id": "K-7781",
                "phone": "+8613800000002",
                "at": "2026-06-04T08:59:00+08:00",
                "by": "third_party",
            },
        },
    },
}
