"""HTTP only: one module a resource."""

from fastapi import APIRouter

from service.api import (
    admin,
    agencies,
    alerts,
    checks,
    endpoints,
    findings,
    health,
    interactions,
    parameters,
    recordings,
    reports,
    reviews,
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
    parameters.router,
    speech.router,
    admin.router,
    endpoints.router,
    alerts.router,
    reviews.router,
    health.router,
)
