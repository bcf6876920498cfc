"""The pure engine: events and a pack in, verdicts out."""
