"""Whether the process lives, whether it can work, and its counters."""

from typing import Literal

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, Gauge, generate_latest
from pydantic import BaseModel

from service import db
from service.clock import now
from service.errors import UnavailableError
from service.keeping.storage import retention_proof
from service.read import read_heartbeats

router = APIRouter(tags=["health"])
_AGE = Gauge("hegui_heartbeat_age_seconds", "Since a periodic step last ran, by step.", ["step"])


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


class RetentionHealthOut(BaseModel):
    """Whether the store was seen to refuse early removal."""

    state: Literal["proven", "unproven"]
    store: str
    detail: str


class DeploymentOut(HealthOut):
    """How this deployment stands."""

    retention: RetentionHealthOut


@router.get("/v1/health", summary="How does this deployment stand?")
def get_deployment() -> DeploymentOut:
    """Say whether recordings are provably kept: a canary is put under lock, and tried."""
    proof = retention_proof()
    found = RetentionHealthOut(state=proof.state, store=proof.store, detail=proof.detail)
    return DeploymentOut(retention=found)


@router.get("/metrics", summary="Counters for Prometheus", include_in_schema=False)
def get_metrics() -> Response:
    """Return all counters and the age of each periodic step; they hold no tenant's data."""
    for name, age_s in read_heartbeats(at=now()):
        _AGE.labels(name).set(age_s)
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
