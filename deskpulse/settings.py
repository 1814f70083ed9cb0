"""Every setting of deskpulse, typed: its name, unit, default and meaning stand here and nowhere else.

:func:`load` reads one TOML file and the ``DESKPULSE_*`` variables (``DESKPULSE_KAFKA__BOOTSTRAP`` is
``kafka.bootstrap``; the environment wins). ``docs/settings.md`` is generated from these classes. Any secret ``x`` can
come from a file instead: ``x_file = "/run/secrets/x"``, or ``DESKPULSE_…__X_FILE``.
"""

from __future__ import annotations

import socket
from datetime import timedelta
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from deskpulse.durations import Duration, MaybeDuration, duration_ms
from deskpulse.settings_bands import Bands
from deskpulse.settings_privacy import Privacy, TopicsKept
from deskpulse.settings_security import ClickHouseTls, KafkaSecurity, Token
from deskpulse.settings_sla import Calendars, PolicyTables, Sla
from deskpulse.settings_types import (
    Dimension,
    FcrPart,
    Port,
    PositiveDuration,
    PositiveOrUnlimited,
    Role,
    Section,
    hides_secrets,
    listed,
    longer_than,
    mapped,
    once,
)
from streams.compiled import digest
from streams.config import FINGERPRINT_BYTES, DomainConfig

if TYPE_CHECKING:
    from sinks.clickhouse import ClickHouseTarget
    from sinks.migrations import Retention as KeptRows
    from streams.policies import Policies
    from streams.topics import TopicSpec

_BY_PASSWORD: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


class Kafka(Section):
    """The brokers, and how the topics are made."""

    bootstrap: str = Field(
        default="127.0.0.1:9092",
        min_length=1,
        description="Brokers to ask first, `host:port`, several with commas between.",
    )
    group: str = Field(
        default="deskpulse",
        min_length=1,
        description="Consumer group of the workers, and prefix of their transactions.",
    )
    partitions: int = Field(
        default=12, ge=1, le=10_000, description="Partitions of every topic: the most workers that can share the load."
    )
    replication: int = Field(default=1, ge=1, le=10, description="Copies of every topic's data. 3 on a cluster.")
    retention: TopicsKept = Field(default=TopicsKept())
    security: KafkaSecurity = Field(default=KafkaSecurity())
    options: Annotated[dict[str, str | int | float | bool], BeforeValidator(mapped), hides_secrets] = Field(
        default_factory=dict, repr=False, description="More options of librdkafka for every client, by their own names."
    )

    @model_validator(mode="after")
    def _says_who(self) -> Self:
        client = self.client()
        named = client.get("sasl.username") and client.get("sasl.password")
        # Other mechanisms, by `options`, know their users in ways of their own.
        by_password = str(client.get("sasl.mechanisms", client.get("sasl.mechanism"))) in _BY_PASSWORD
        if str(client["security.protocol"]).lower().startswith("sasl") and by_password and not named:
            raise ValueError(
                f"protocol {self.security.protocol} needs a user; expected kafka.security.username and "
                "kafka.security.password (or password_file)"
            )
        return self

    def client(self) -> dict[str, Any]:
        """What every librdkafka client is made with; ``options`` win."""
        return {"bootstrap.servers": self.bootstrap, **self.security.client(), **self.options}

    def topics(self) -> list[TopicSpec]:
        """The topics that there have to be."""
        from streams.topics import default_specs

        return default_specs(self.partitions, self.replication, self.retention.kept())


class Worker(Section):
    """What one process does, and how it tells the time."""

    id: str = Field(
        default_factory=socket.gethostname,
        pattern=r"^[A-Za-z0-9._-]{1,200}$",
        description="This worker's name, another for each worker of a group.",
        json_schema_extra={"default_shown": "the host's name"},
    )
    roles: Annotated[tuple[Role, ...], BeforeValidator(listed), AfterValidator(once), Field(min_length=1)] = Field(
        default=("processor", "sink"),
        description="What the worker does: keep figures, write them into ClickHouse, or both.",
    )
    clock: Literal["wall", "event"] = Field(
        default="wall",
        description="What passes the time: the wall clock (live), or the events alone (replays of the past, tests).",
    )
    commit_interval: PositiveDuration = Field(
        default=timedelta(seconds=1),
        description="Time between two transactions; outputs are visible after at most this.",
    )
    grace: Duration = Field(
        default=timedelta(milliseconds=250),
        description="How far the watermark of an input that is read to its end lags behind the clock.",
    )
    horizon: PositiveOrUnlimited = Field(
        default=timedelta(days=31),
        description="How long a solved ticket is remembered; later events of it are late records.",
    )
    max_future: PositiveDuration = Field(
        default=timedelta(days=1), description="An event dated further ahead of the clock than this is a dead letter."
    )
    dead_letter_limit: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="Above this share of refused records of a topic the worker stops, before it diverts them to the "
        "dead letters; 1 is no limit.",
    )
    dead_letter_window: int = Field(
        default=1_000,
        ge=1,
        le=10_000_000,
        description="Of how many of the topic's last records, at least: fewer bad ones than that never stop a worker.",
    )
    dimensions: Annotated[tuple[Dimension, ...], BeforeValidator(listed), AfterValidator(once)] = Field(
        default=("channel", "priority", "team"), description="Attributes by which figures are kept."
    )
    dimension_limit: int = Field(
        default=50,
        ge=1,
        le=10_000,
        description="Values of one dimension with live gauges of their own; the rest is `other`.",
    )
    state_folder: Path | None = Field(
        default=None,
        description="Folder for the state of the partitions, for more tickets than fit in memory; a restart then reads "
        "only what is new. Of this worker alone; needs the extra `disk`. In memory where absent.",
    )
    session_timeout: PositiveDuration = Field(
        default=timedelta(seconds=6),
        description="After this without a heartbeat the group gives the partitions to others; 6 s is the least that "
        "brokers take unless told otherwise (`group.min.session.timeout.ms`).",
    )
    web_host: str = Field(
        default="127.0.0.1", min_length=1, description="Address of the page, `/metrics` and the health checks."
    )
    web_port: Port = Field(default=6066, description="Port of the same.")
    web_token: Token = Field(
        default=None,
        repr=False,
        description="What `Authorization: Bearer …` has to say, but for the health checks; nothing where absent.",
    )


class Fcr(Section):
    """What counts as resolved at first contact."""

    parts: Annotated[tuple[FcrPart, ...], BeforeValidator(listed), AfterValidator(once), Field(min_length=1)] = Field(
        default=("one_touch", "no_reopen", "no_repeat"), description="The conditions that must all hold."
    )
    days: int = Field(
        default=7, ge=1, le=365, description="Days after the first solve in which a success can still fail."
    )


class Retention(Section):
    """How long ClickHouse keeps the rows of each table."""

    events: PositiveOrUnlimited = Field(default=timedelta(days=400), description="The archive of raw events.")
    facts: PositiveOrUnlimited = Field(default=None, description="Facts of tickets.")
    minute_cells: Annotated[MaybeDuration, longer_than(timedelta(days=1), "the longest window by minutes")] = Field(
        default=timedelta(days=35), description="Figures by minute; more than a day."
    )
    hour_cells: Annotated[MaybeDuration, longer_than(timedelta(days=30), "the longest window by hours")] = Field(
        default=None, description="Figures by hour; more than 30 days."
    )
    sla_events: PositiveOrUnlimited = Field(default=timedelta(days=800), description="What happened to SLA targets.")

    def kept(self) -> KeptRows:
        """The same, as the migrations take it."""
        from sinks.migrations import Retention as KeptRows

        return KeptRows(**dict(self))


class ClickHouse(Section):
    """Where the figures are kept: a server, or a folder of this machine."""

    host: str = Field(default="127.0.0.1", min_length=1, description="Server's name or address.")
    port: Port = Field(default=8123, description="HTTP port; with `secure` usually 8443.")
    secure: bool = Field(default=False, description="Use HTTPS.")
    username: str = Field(default="default", description="User.")
    password: SecretStr = Field(default=SecretStr(""), description="Password.")
    database: str = Field(
        default="deskpulse", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="Database; made by `deskpulse migrate`."
    )
    path: Path | None = Field(
        default=None,
        description="Folder of a ClickHouse inside the process, instead of a server; one process at a time.",
    )
    timeout: PositiveDuration = Field(
        default=timedelta(seconds=30),
        description="A server that does not answer for so long has failed: what was sent is sent again.",
    )
    retention: Retention = Field(default=Retention())
    tls: ClickHouseTls = Field(default=ClickHouseTls())

    @model_validator(mode="after")
    def _tls_is_used(self) -> Self:
        if not self.secure and not self.tls.is_default:
            raise ValueError("[clickhouse.tls] has no effect over HTTP; expected clickhouse.secure = true")
        return self

    def target(self) -> ClickHouseTarget:
        """Where to connect to, as the sinks take it."""
        from sinks.clickhouse import ClickHouseTarget

        return ClickHouseTarget(
            host=self.host,
            port=self.port,
            secure=self.secure,
            username=self.username,
            password=self.password.get_secret_value(),
            database=self.database,
            path=self.path,
            verify=self.tls.verify,
            ca_file=self.tls.ca_file,
            certificate_file=self.tls.certificate_file,
            key_file=self.tls.key_file,
            timeout_seconds=self.timeout.total_seconds(),
        )


class Settings(Section):
    """All of them. ``Settings()`` is the defaults; :func:`load` reads the file and the environment."""

    kafka: Kafka = Field(default=Kafka())
    worker: Worker = Field(default=Worker())
    fcr: Fcr = Field(default=Fcr())
    clickhouse: ClickHouse = Field(default=ClickHouse())
    bands: Bands = Field(default=Bands())
    sla: Sla = Field(default=Sla())
    calendars: Calendars = Field(default=Calendars())
    policies: PolicyTables = Field(default=PolicyTables())
    privacy: Privacy = Field(default=Privacy())

    @model_validator(mode="after")
    def _calendars_are_there(self) -> Self:
        self.policies.check_calendars(self.calendars)
        return self

    def sla_policies(self) -> Policies:
        """The service-level policies with their calendars, for the domain."""
        return self.policies.domain(self.calendars, self.sla.at_risk)

    def domain(self) -> DomainConfig:
        """What facts and aggregates depend on."""
        return DomainConfig(
            dimensions=self.worker.dimensions,
            fcr_parts=self.fcr.parts,
            fcr_days=self.fcr.days,
            horizon_ms=None if self.worker.horizon is None else duration_ms(self.worker.horizon),
            policies=self.sla_policies(),
            pseudonyms=self.privacy.pseudonyms(),
            fingerprint=self._fingerprint(),
        )

    def _fingerprint(self) -> bytes:
        """See ``DomainConfig.fingerprint``: the settings, the code, and the package that knows the holidays."""
        told = self.model_dump_json(
            include={
                "worker": {"dimensions", "horizon"},
                "fcr": True,
                "sla": True,
                "calendars": True,
                "policies": True,
            }
        )
        return sha256("\n".join((told, digest(), version("holidays"))).encode()).digest()[:FINGERPRINT_BYTES]

    def changed(self, **sections: dict[str, Any]) -> Self:
        """A checked copy with some values replaced: ``settings.changed(kafka={"bootstrap": "127.0.0.1:19092"})``."""
        now = dict(self)
        return type(self).model_validate(
            now | {name: dict(now.get(name, {})) | values for name, values in sections.items()}
        )


def load(config: Path | None = None) -> Settings:
    """The settings from ``config`` (or DESKPULSE_CONFIG, or ./deskpulse.toml where it exists) and the environment.

    Raises ``deskpulse.settings_file.SettingsError`` with every wrong value and what would be right.
    """
    from deskpulse.settings_file import read

    return read(config)
