"""The settings of an edge node: a TOML file, and the environment over it."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self, Union

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from edge_node.capture.sources import SOURCES
from edge_node.capture.sources.protocol import SourceSettings
from edge_node.gate.gates import GATES
from edge_node.gate.gates.log import LogGate
from edge_node.gate.gates.protocol import GateSettings, topic_of
from patchline.mqtt.settings import check_host
from patchline.runtime.settings_file import explained
from patchline.wire.errors import MisconfiguredError, UnreadableError
from patchline.wire.topics import DEFAULT_PREFIX, Station, Topics, check_topic

_TAKT_SECONDS = 1.0
ENV_PREFIX = "PATCHLINE_EDGE_"

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]


def _checked(reader: Callable[[str], object], text: str) -> str:
    """The text, once a reader of ours took it; pydantic knows refusals as `ValueError`."""
    try:
        reader(text)
    except MisconfiguredError as error:
        raise ValueError(str(error)) from error
    return text


def _check_plant_topic(name: str, topic: str, prefix: str) -> None:
    try:
        check_topic(topic)
    except MisconfiguredError as error:
        raise ValueError(f"{name}: {error}") from error
    try:
        Topics(prefix).parse(topic)
    except UnreadableError:
        pass
    else:
        raise ValueError(f"{name} {topic!r} is one of patchline's own channels; use a topic of the plant's")
    if topic.startswith("$"):
        raise ValueError(f"{name} {topic!r} is a topic of the broker; use one that does not begin with $")


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TlsTable(_Table):
    """How the connection to the broker is encrypted."""

    ca: Path = Field(description="PEM file of the authorities that may sign the broker's certificate")
    certificate: Path | None = Field(None, description="PEM file of the station's own certificate")
    key: Path | None = Field(None, description="PEM file of its private key")
    minimum_version: Literal["1.2", "1.3"] = Field("1.2", description="the oldest TLS version spoken")


class BrokerTable(_Table):
    """The MQTT broker."""

    host: str = Field("127.0.0.1", description="name or address of the broker")
    port: int = Field(1883, ge=1, le=65535, description="its port")
    protocol: Literal["5", "3.1.1"] = Field("5", description="MQTT version")
    username: str | None = Field(None, description="user name, where the broker asks for one")
    password: SecretStr | None = Field(None, description="password; better given by the environment than in the file")
    tls: TlsTable | None = Field(None, description="encryption; none means plain TCP")
    keepalive_seconds: int = Field(15, ge=1, le=65535, description="a silent connection is noticed within twice this")
    max_inflight: int = Field(4, ge=1, le=1000, description="live messages on the way to the broker at once")
    max_packet_bytes: int = Field(
        16 * 1024 * 1024,
        ge=256,
        le=268_435_455,
        description="largest packet sent or taken; the broker's limit counts too",
    )

    @field_validator("host")
    @classmethod
    def _is_a_host(cls, text: str) -> str:
        return _checked(check_host, text)


class OutboxTable(_Table):
    """What the station keeps until its verdict returns."""

    path: Path = Field(Path("outbox.sqlite"), description="the file; one for each station")
    budget_bytes: int = Field(1024**3, ge=1024**2, description="bytes of pictures kept at most")
    when_full: Literal["stop_capture", "drop_oldest"] = Field(
        "stop_capture", description="which pictures are dropped beyond that: new ones, or the oldest"
    )
    journal_lines: int = Field(100_000, ge=0, description="closed inspections to remember")


class SendTable(_Table):
    """How messages are sent again, and how the backlog goes."""

    first_resend_seconds: Positive = Field(2.0, description="shortest wait for a verdict before a message is repeated")
    live_seconds: Positive | None = Field(
        None, description="how old a part may be and still go first; the gate's deadline unless given"
    )
    backlog_window: int = Field(4, ge=1, le=1000, description="backlog messages sent and not yet answered at once")
    backlog_bytes_per_second: Positive | None = Field(
        None, description="how fast the backlog goes; no limit unless given"
    )


# The tables of sources and gates are those of the registered classes.
_SOURCE_TABLES = tuple(source.Settings for source in SOURCES.values())
_GATE_TABLES = tuple(gate.Settings for gate in GATES.values())
if TYPE_CHECKING:
    Source = SourceSettings
    Gate = GateSettings
else:
    Source = Annotated[Union[_SOURCE_TABLES], Field(discriminator="kind")]  # noqa: UP007
    Gate = Annotated[Union[_GATE_TABLES], Field(discriminator="kind")]  # noqa: UP007


class TriggerTable(_Table):
    """When a part stands before the camera."""

    topic: str | None = Field(None, description="MQTT topic that tells each part; the clock does unless given")
    takt_seconds: NotNegative | None = Field(
        None, description="from one part to the next; 1 second unless given, when the clock tells"
    )
    delay_seconds: NotNegative = Field(0.0, description="before the first part, when the clock tells")
    max_age_seconds: Positive | None = Field(
        None,
        description="how old a trigger may be when its picture is taken; the takt unless given, or the gate's deadline "
        "where no takt is set",
    )

    @property
    def clock_seconds(self) -> float:
        """From one trigger of the clock to the next."""
        return _TAKT_SECONDS if self.takt_seconds is None else self.takt_seconds

    @field_validator("topic")
    @classmethod
    def _is_a_topic(cls, topic: str | None) -> str | None:
        return topic if topic is None else _checked(check_topic, topic)


class ProfileTable(_Table):
    """How the station learns to encode."""

    directory: Path = Field(Path("profile"), description="where the last profile and its assets are kept")
    wait_seconds: Positive | None = Field(
        None, description="how long to wait for a first profile before giving up; for ever unless given"
    )
    max_asset_bytes: int = Field(64 * 1024**2, ge=0, description="largest asset accepted")
    verify_key: Path | None = Field(
        None, description="PEM file of the key that must have signed a profile; any profile is taken unless given"
    )


class MetricsTable(_Table):
    """Prometheus."""

    port: int = Field(0, ge=0, le=65535, description="port of /metrics, /healthz and /readyz; 0 for none")
    host: str = Field("127.0.0.1", description="the address they are served on; 0.0.0.0 for every one")


class EdgeSettings(BaseSettings):
    """All settings of an edge node. A variable such as `PATCHLINE_EDGE_BROKER__HOST` goes before the file."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        nested_model_default_partial_update=True,
    )

    station: str = Field(description="the station's place, site/line/station")
    prefix: str = Field(DEFAULT_PREFIX, description="what the topic tree hangs under")
    source: Source = Field(description="where pictures come from")
    trigger: TriggerTable = Field(TriggerTable(), description="when a part stands before the camera")
    broker: BrokerTable = Field(BrokerTable(), description="the MQTT broker")
    outbox: OutboxTable = Field(OutboxTable(), description="what is kept until its verdict returns")
    send: SendTable = Field(SendTable(), description="how messages are sent again")
    gate: Gate = Field(LogGate.Settings(), description="what moves a part off the line")
    profile: ProfileTable = Field(ProfileTable(), description="how the station learns to encode")
    metrics: MetricsTable = Field(MetricsTable(), description="Prometheus")
    backbone_threads: int = Field(
        1, ge=1, le=64, description="CPU threads of the backbone, where the profile's codec sends feature maps"
    )
    finish_when_drained: bool = Field(
        False, description="end when the source has ended and every inspection has its verdict"
    )
    finish_seconds: Positive = Field(300.0, description="how long to wait for those verdicts")
    drain_seconds: NotNegative = Field(5.0, description="on SIGTERM, how long to wait for verdicts still on their way")

    @field_validator("station")
    @classmethod
    def _is_a_station(cls, text: str) -> str:
        return _checked(Station.parse, text)

    @field_validator("prefix")
    @classmethod
    def _is_a_prefix(cls, text: str) -> str:
        return _checked(Topics, text)

    @model_validator(mode="after")
    def _topics_are_the_plants(self) -> Self:
        """The topics of the plant are none of ours, and no two of them are the same."""
        gate_topic = topic_of(self.gate)
        for name, topic in (("trigger.topic", self.trigger.topic), ("gate.topic", gate_topic)):
            if topic is not None:
                _check_plant_topic(name, topic, self.prefix)
        if gate_topic is not None and gate_topic == self.trigger.topic:
            raise ValueError(f"gate.topic and trigger.topic are both {gate_topic!r}: each command would be a trigger")
        return self

    @property
    def max_age_seconds(self) -> float:
        """How old a trigger may be when its picture is taken."""
        trigger = self.trigger
        if trigger.max_age_seconds is not None:
            return trigger.max_age_seconds
        takt = trigger.clock_seconds if trigger.topic is None else trigger.takt_seconds
        return takt or self.gate.deadline_seconds

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment goes before the file, and nothing else counts."""
        del settings_cls, dotenv_settings, file_secret_settings
        return env_settings, init_settings

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a TOML file, and the environment over it. Relative paths start at the working folder.

        Raises:
            MisconfiguredError: The file is missing or no TOML, or a setting is wrong; it names the file and the key.
        """
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise MisconfiguredError(
                f"the settings cannot be read: {error.strerror}", where=str(path), remedy="name an existing TOML file"
            ) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise MisconfiguredError(f"the settings are no TOML: {error}", where=str(path)) from error
        try:
            return cls(**content)
        except ValidationError as error:
            raise explained(error, cls, path) from error
