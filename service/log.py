"""Structured logs that hold identifiers and counts, and nothing a person said or is called."""

import logging
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any, TextIO, cast

import psycopg
import structlog
from sqlalchemy.exc import DBAPIError

from service.config import Settings

ALLOWED = frozenset(
    {
        "event", "level", "timestamp", "logger", "tenant_id", "agency_id", "request_id", "job_id",
        "job", "subject_id", "case", "interaction", "recording", "verdict_id", "alert_id",
        "endpoint_id", "receipt", "event_id", "key_id", "actor", "action", "method", "route",
        "status", "code", "reason", "duration_ms", "size_bytes", "count", "findings", "rule",
        "outcome", "state", "attempt", "attempts", "queue", "engine", "model_digest", "pack",
        "pack_digest", "version", "port", "host", "pid", "error", "sqlstate", "constraint",
        "frames", "dropped", "seconds", "revision", "next_in_s", "peer_status", "concurrency",
        "position",
    }
)  # fmt: skip
_FRAMES = 12


def describe_error(error: BaseException) -> dict[str, Any]:
    """Return an error's type, place and SQLSTATE; never its text, which may quote a row."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    found: dict[str, Any] = {"error": type(error).__name__}
    if isinstance(cause, psycopg.Error):
        found["sqlstate"] = cause.sqlstate
        found["constraint"] = cause.diag.constraint_name
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    found["frames"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    return found


def _expand_error(
    _logger: object, _name: str, fields: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replace `exc_info` by the parts of the error that may be written."""
    info = fields.pop("exc_info", None)
    if info is True:
        info = sys.exc_info()
    error = info[1] if isinstance(info, tuple) else info
    if isinstance(error, BaseException):
        fields.update(describe_error(error))
    return fields


def _keep_allowed(
    _logger: object, _name: str, fields: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Drop every field that is not on the list, and name what was dropped."""
    unknown = sorted(key for key in fields if key not in ALLOWED and not key.startswith("_"))
    for key in unknown:
        del fields[key]
    if unknown:
        fields["dropped"] = unknown
    return fields


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes to whatever standard error is at that moment, so a replaced one is followed."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        self.stream = sys.stderr
        super().emit(record)


def configure(settings: Settings) -> None:
    """Set up logging for this process; a second call changes the settings and adds nothing."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _expand_error,
        _keep_allowed,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if settings.logs_as_json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = _Stderr()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    for old in [held for held in root.handlers if isinstance(held, _Stderr)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(settings.log_level)
    # What libraries say at INFO is theirs, not ours: job arguments, URLs, SQL.
    for name in ("procrastinate", "httpx", "httpcore", "alembic", "sqlalchemy", "psycopg"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("uvicorn.access").disabled = True


def get(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of a module."""
    return cast("structlog.stdlib.BoundLogger", structlog.get_logger(name))
