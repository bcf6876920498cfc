"""Operations of `health`; written by hegui.client_generator, do not edit."""

from hegui.client.group import Group
from service.api.health import DeploymentOut, HealthOut


class HealthGroup(Group):
    """Operations of `health`."""

    def get_health(self) -> HealthOut:
        """Answer without touching anything else."""
        return self._typed(HealthOut, "GET", "/healthz")

    def get_readiness(self) -> HealthOut:
        """Answer 503 while the database is away or has no schema."""
        return self._typed(HealthOut, "GET", "/readyz")

    def get_deployment(self) -> DeploymentOut:
        """Say whether recordings are provably kept: a canary is put under lock, and tried."""
        return self._typed(DeploymentOut, "GET", "/v1/health")
