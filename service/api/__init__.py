"""HTTP only: one module a resource."""

from fastapi import APIRouter

from service.api import (
    access,
    admin,
    agencies,
    alerts,
    checks,
    disputes,
    endpoints,
    findings,
    grants,
    health,
    interactions,
    ledger,
    parameters,
    recordings,
    reports,
    review_samples,
    reviews,
    samples,
    speech,
    webhooks,
)

ROUTERS: tuple[APIRouter, ...] = (
    webhooks.router,
    recordings.router,
    interactions.router,
    findings.router,
    agencies.router,
    checks.router,
    reports.router,
    ledger.router,
    parameters.router,
    speech.router,
    admin.router,
    access.router,
    grants.router,
    samples.router,
    endpoints.router,
    alerts.router,
    reviews.router,
    review_samples.router,
    disputes.router,
    health.router,
)
