"""Every setting of the service, read once from the environment (prefix `HEGUI_`)."""

from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """What an operator may set; units stand in the names."""

    model_config = SettingsConfigDict(env_prefix="HEGUI_", frozen=True, extra="ignore")

    environment: Literal["development", "production"] = Field(
        default="development", description="Marks API keys and picks the log format."
    )
    database_url: SecretStr = Field(
        default=SecretStr(""), description="libpq URL of the application role (hegui_app)."
    )
    database_owner_url: SecretStr = Field(
        default=SecretStr(""), description="libpq URL of the owner role; migrations alone use it."
    )
    app_role_password: SecretStr = Field(
        default=SecretStr(""),
        description="Password that migrations give to hegui_app; empty leaves it as it is.",
    )
    database_pool_size: int = Field(
        default=8, ge=1, le=200, description="Connections of one process for reads and steps."
    )
    ingest_pool_size: int = Field(
        default=8, ge=1, le=200, description="Connections of one process for webhooks."
    )
    pool_timeout_s: float = Field(
        default=3.0, gt=0, description="How long a request waits for a connection before a 503."
    )
    object_dir: Path = Field(
        default=Path("var/objects"), description="Folder of the recordings, by tenant and hash."
    )
    public_base_url: str = Field(
        default="http://127.0.0.1:8080", description="Address that links in alerts start with."
    )
    body_max_kb: int = Field(
        default=256, ge=1, le=16_384, description="Largest webhook or JSON body."
    )
    recording_max_mb: int = Field(default=200, ge=1, description="Largest recording.")
    recording_wait_hours: int = Field(
        default=24, ge=0, description="How long an announced recording is waited for."
    )
    retention_floor_days: int = Field(
        default=1827,
        ge=1,
        description="First retention of a recording, from receipt (five years); only ever raised.",
    )
    wal_archive_dir: str = Field(
        default="",
        description="Folder for the log of the embedded database, for restores to a point in time.",
    )
    purge_wait_days: int = Field(
        default=7, ge=1, description="Days between the list of a purge run and its removal."
    )
    purge_max_items: int = Field(
        default=10_000, ge=1, le=100_000, description="Most recordings of one purge run."
    )
    call_list_max_mb: int = Field(default=32, ge=1, description="Largest list of a day's calls.")
    s3_bucket: str = Field(
        default="", description="Bucket of the recordings; empty: the object folder."
    )
    s3_prefix: str = Field(default="", description="What the names of objects begin with.")
    s3_endpoint_url: str = Field(
        default="", description="Address of an S3-compatible store; empty: Amazon's."
    )
    s3_region: str = Field(default="", description="Region of the bucket.")
    s3_access_key_id: str = Field(
        default="", description="Key id for the bucket; empty: as the machine is set up."
    )
    s3_secret_access_key: SecretStr = Field(
        default=SecretStr(""), description="Secret of that key."
    )
    secret_overlap_hours: int = Field(
        default=24, ge=0, description="How long a rotated webhook secret stays valid."
    )
    session_idle_minutes: int = Field(
        default=30, ge=1, le=1440, description="How long a console session lives without a request."
    )
    session_max_hours: int = Field(
        default=12, ge=1, le=720, description="How long a console session lives at most."
    )
    set_password_hours: int = Field(
        default=72, ge=1, le=720, description="How long a token that sets a password is good."
    )
    engine: Literal["openai-whisper", "faster-whisper"] = Field(
        default="openai-whisper", description="Speech engine."
    )
    engine_calls: int = Field(
        default=8,
        ge=1,
        le=256,
        description="Recordings that one worker hears side by side, in shared batches.",
    )
    engine_batch_s: float = Field(
        default=0.0,
        ge=0,
        le=36_000,
        description="Seconds of sound that the model reads at once; 0: 64, and 960 on a GPU.",
    )
    model: str = Field(default="", description="Speech model name or path; empty: the default.")
    log_format: Literal["auto", "json", "console"] = Field(
        default="auto", description="auto: console in development, json in production."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Lowest level that is written."
    )
    alert_timeout_s: float = Field(
        default=15.0, gt=0, description="Time limit of one alert delivery."
    )
    fetch_timeout_s: float = Field(
        default=120.0, gt=0, description="Time limit of fetching one recording by its URL."
    )
    egress_allow: str = Field(
        default="",
        description="Comma list of host:port that may be called though private or plain http.",
    )

    ledger_key_file: str = Field(
        default="",
        description="Ed25519 key (PEM) that signs checkpoints, bundles and reports; empty: "
        "ledger-key.pem beside the object folder, made at first use.",
    )
    master_key: SecretStr = Field(
        default=SecretStr(""),
        description="Wraps the tenants' data keys: 32 bytes in base64 (`hegui keys master`).",
    )
    master_key_file: str = Field(
        default="",
        description="File that holds the master key instead; empty in development: master.key "
        "beside the object folder, made at first use.",
    )
    master_key_previous: SecretStr = Field(
        default=SecretStr(""), description="The master key before, while `hegui keys rewrap` runs."
    )
    limit_requests_per_minute: int = Field(
        default=12_000, ge=0, description="API requests of a lender and its agencies; 0: no limit."
    )
    limit_events_per_minute: int = Field(
        default=240_000, ge=0, description="Webhooks of a lender's agencies; 0: no limit."
    )
    limit_upload_mb_per_minute: int = Field(
        default=0, ge=0, description="Megabytes of recordings of a lender's agencies; 0: no limit."
    )
    upload_idle_s: float = Field(
        default=20.0, gt=0, description="How long the next piece of a body is waited for."
    )
    header_timeout_s: float = Field(
        default=20.0, gt=0, description="How long the head of a request may take to arrive."
    )
    smtp_url: SecretStr = Field(
        default=SecretStr(""),
        description="Mail relay: smtps://name:password@host:465, smtp+starttls://… or smtp://….",
    )
    smtp_from: str = Field(default="hegui@localhost", description="Sender of mailed alerts.")

    @property
    def egress_hosts(self) -> frozenset[str]:
        """The entries of `egress_allow`, lower case, each `host:port`."""
        entries = (entry.strip().lower() for entry in self.egress_allow.split(","))
        return frozenset(entry for entry in entries if entry)

    @property
    def logs_as_json(self) -> bool:
        """Whether log lines are JSON."""
        if self.log_format == "auto":
            return self.environment == "production"
        return self.log_format == "json"


@lru_cache(maxsize=1)
def settings() -> Settings:
    """Return the settings of this process; tests call `settings.cache_clear()` after a change."""
    return Settings()
