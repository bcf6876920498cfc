"""HTTP only: one module a resource."""

from fastapi import APIRouter

from service.api import (
    admin,
    agencies,
    findings,
    health,
    interactions,
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
    admin.router,
    health.router,
)
