"""Every group of operations; written by hegui.client_generator, do not edit."""

from functools import cached_property

from hegui.client.operations.access import AccessGroup
from hegui.client.operations.admin import AdminGroup
from hegui.client.operations.agencies import AgenciesGroup
from hegui.client.operations.alerts import AlertsGroup
from hegui.client.operations.bundles import BundlesGroup
from hegui.client.operations.checks import ChecksGroup
from hegui.client.operations.completeness import CompletenessGroup
from hegui.client.operations.disputes import DisputesGroup
from hegui.client.operations.endpoints import EndpointsGroup
from hegui.client.operations.findings import FindingsGroup
from hegui.client.operations.grants import GrantsGroup
from hegui.client.operations.health import HealthGroup
from hegui.client.operations.interactions import InteractionsGroup
from hegui.client.operations.ledger import LedgerGroup
from hegui.client.operations.manifests import ManifestsGroup
from hegui.client.operations.oidc import OidcGroup
from hegui.client.operations.parameters import ParametersGroup
from hegui.client.operations.people import PeopleGroup
from hegui.client.operations.recordings import RecordingsGroup
from hegui.client.operations.reports import ReportsGroup
from hegui.client.operations.retention import RetentionGroup
from hegui.client.operations.review_samples import ReviewSamplesGroup
from hegui.client.operations.reviews import ReviewsGroup
from hegui.client.operations.samples import SamplesGroup
from hegui.client.operations.scorecards import ScorecardsGroup
from hegui.client.operations.session import SessionGroup
from hegui.client.operations.speech import SpeechGroup
from hegui.client.operations.subjects import SubjectsGroup
from hegui.client.operations.token import TokenGroup
from hegui.client.operations.webhooks import WebhooksGroup
from hegui.transport import Transport


class Operations:
    """The groups, each made when it is first used."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    @cached_property
    def access(self) -> AccessGroup:
        """Operations of `access`."""
        return AccessGroup(self.transport)

    @cached_property
    def admin(self) -> AdminGroup:
        """Operations of `admin`."""
        return AdminGroup(self.transport)

    @cached_property
    def agencies(self) -> AgenciesGroup:
        """Operations of `agencies`."""
        return AgenciesGroup(self.transport)

    @cached_property
    def alerts(self) -> AlertsGroup:
        """Operations of `alerts`."""
        return AlertsGroup(self.transport)

    @cached_property
    def bundles(self) -> BundlesGroup:
        """Operations of `bundles`."""
        return BundlesGroup(self.transport)

    @cached_property
    def checks(self) -> ChecksGroup:
        """Operations of `checks`."""
        return ChecksGroup(self.transport)

    @cached_property
    def completeness(self) -> CompletenessGroup:
        """Operations of `completeness`."""
        return CompletenessGroup(self.transport)

    @cached_property
    def disputes(self) -> DisputesGroup:
        """Operations of `disputes`."""
        return DisputesGroup(self.transport)

    @cached_property
    def endpoints(self) -> EndpointsGroup:
        """Operations of `endpoints`."""
        return EndpointsGroup(self.transport)

    @cached_property
    def findings(self) -> FindingsGroup:
        """Operations of `findings`."""
        return FindingsGroup(self.transport)

    @cached_property
    def grants(self) -> GrantsGroup:
        """Operations of `grants`."""
        return GrantsGroup(self.transport)

    @cached_property
    def health(self) -> HealthGroup:
        """Operations of `health`."""
        return HealthGroup(self.transport)

    @cached_property
    def interactions(self) -> InteractionsGroup:
        """Operations of `interactions`."""
        return InteractionsGroup(self.transport)

    @cached_property
    def ledger(self) -> LedgerGroup:
        """Operations of `ledger`."""
        return LedgerGroup(self.transport)

    @cached_property
    def manifests(self) -> ManifestsGroup:
        """Operations of `manifests`."""
        return ManifestsGroup(self.transport)

    @cached_property
    def oidc(self) -> OidcGroup:
        """Operations of `oidc`."""
        return OidcGroup(self.transport)

    @cached_property
    def parameters(self) -> ParametersGroup:
        """Operations of `parameters`."""
        return ParametersGroup(self.transport)

    @cached_property
    def people(self) -> PeopleGroup:
        """Operations of `people`."""
        return PeopleGroup(self.transport)

    @cached_property
    def recordings(self) -> RecordingsGroup:
        """Operations of `recordings`."""
        return RecordingsGroup(self.transport)

    @cached_property
    def reports(self) -> ReportsGroup:
        """Operations of `reports`."""
        return ReportsGroup(self.transport)

    @cached_property
    def retention(self) -> RetentionGroup:
        """Operations of `retention`."""
        return RetentionGroup(self.transport)

    @cached_property
    def review_samples(self) -> ReviewSamplesGroup:
        """Operations of `review_samples`."""
        return ReviewSamplesGroup(self.transport)

    @cached_property
    def reviews(self) -> ReviewsGroup:
        """Operations of `reviews`."""
        return ReviewsGroup(self.transport)

    @cached_property
    def samples(self) -> SamplesGroup:
        """Operations of `samples`."""
        return SamplesGroup(self.transport)

    @cached_property
    def scorecards(self) -> ScorecardsGroup:
        """Operations of `scorecards`."""
        return ScorecardsGroup(self.transport)

    @cached_property
    def session(self) -> SessionGroup:
        """Operations of `session`."""
        return SessionGroup(self.transport)

    @cached_property
    def speech(self) -> SpeechGroup:
        """Operations of `speech`."""
        return SpeechGroup(self.transport)

    @cached_property
    def subjects(self) -> SubjectsGroup:
        """Operations of `subjects`."""
        return SubjectsGroup(self.transport)

    @cached_property
    def token(self) -> TokenGroup:
        """Operations of `token`."""
        return TokenGroup(self.transport)

    @cached_property
    def webhooks(self) -> WebhooksGroup:
        """Operations of `webhooks`."""
        return WebhooksGroup(self.transport)
