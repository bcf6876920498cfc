"""HTTP only: one module a resource."""

from fastapi import APIRouter

from service.api import (
    admin,
    agencies,
    findings,
    health,
    interactions,
    parameters,
    recordings,
    reports,
    webhooks,
)

ROUTERS: tuple[APIRouter, ...] = (
    webhooks.router,
    recordings.router,
    interactions.router,
    findings.router,
    agencies.router,
    reports.router,
    parameters.router,
    admin.router,
    health.router,
)
