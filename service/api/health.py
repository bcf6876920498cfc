"""Whether the process lives, whether it can work, and its counters."""

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel

from service import db
from service.errors import UnavailableError

router = APIRouter(tags=["health"])


class HealthOut(BaseModel):
    """A short yes."""

    status: str = "ok"


@router.get("/healthz", summary="Does the process live?")
def get_health() -> HealthOut:
    """Answer without touching anything else."""
    return HealthOut()


@router.get("/readyz", summary="Can it take requests?")
def get_readiness() -> HealthOut:
    """Answer 503 while the database is away or has no schema."""
    if not db.is_ready():
        raise UnavailableError("The database has no schema yet; run the migrations.")
    return HealthOut()


@router.get("/metrics", summary="Counters for Prometheus", include_in_schema=False)
def get_metrics() -> Response:
    """Return all counters; they hold no tenant's data."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
