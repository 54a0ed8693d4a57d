"""The settings of an edge node: a TOML file, and the environment over it."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from patchline.mqtt.settings import check_host
from patchline.runtime.settings_file import explained
from patchline.wire.errors import MisconfiguredError
from patchline.wire.topics import DEFAULT_PREFIX, Station, Topics

ENV_PREFIX = "PATCHLINE_EDGE_"

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(gt=0, le=1)]
Action = Literal["accept", "reject"]


def _checked(reader: Callable[[str], object], text: str) -> str:
    """The text, once a reader of ours took it; pydantic knows refusals as `ValueError`."""
    try:
        reader(text)
    except MisconfiguredError as error:
        raise ValueError(str(error)) from error
    return text


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
    when_full: Literal["stop_capture", "drop_oldest", "downgrade_codec"] = Field(
        "stop_capture",
        description="what gives way beyond that: new pictures, the oldest ones, or, from three quarters on, their size",
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


class GateTable(_Table):
    """What moves a part off the line, and when."""

    deadline_seconds: Positive = Field(2.0, description="from capture to the moment the part reaches the gate")
    default: Action = Field("reject", description="what happens to a part without a verdict by then")
    uncalibrated: Action = Field("accept", description="what happens to a part whose score has no threshold")


class LogGateTable(GateTable):
    """A gate that only logs."""

    kind: Literal["log"] = Field("log", description="which gate")


class MqttGateTable(GateTable):
    """A gate that reads commands from a topic."""

    kind: Literal["mqtt"] = Field(description="which gate")
    topic: str = Field(min_length=1, description="where commands are published")


class HttpGateTable(GateTable):
    """A gate that takes commands over HTTP."""

    kind: Literal["http"] = Field(description="which gate")
    url: str = Field(description="where commands are posted")
    timeout_seconds: Positive = Field(0.5, description="when to give up on it")


class GpioGateTable(GateTable):
    """A gate on a pin of this board."""

    kind: Literal["gpio"] = Field(description="which gate")
    pin: int = Field(ge=0, description="pin in Broadcom's numbering")
    pulse_seconds: Positive = Field(0.1, description="how long the pin is on for a reject")


Gate = Annotated[LogGateTable | MqttGateTable | HttpGateTable | GpioGateTable, Field(discriminator="kind")]


class FolderTable(_Table):
    """Pictures of a folder."""

    kind: Literal["folder"] = Field(description="which source")
    directory: Path = Field(
        description="the folder; each start takes all its pictures, by name; a part is called after its file"
    )
    watch: bool = Field(False, description="wait for new pictures instead of ending")


class ReplayTable(_Table):
    """A planned run."""

    kind: Literal["replay"] = Field(description="which source")
    plan: Path = Field(description='JSON lines of {"path", "part_id"}')
    seed: int | None = Field(None, description="shuffles the plan; its own order unless given")


class SyntheticTable(_Table):
    """Drawn parts."""

    kind: Literal["synthetic"] = Field(description="which source")
    product: str = Field(description="which product is drawn")
    size: tuple[int, int] = Field((256, 256), description="height and width of the drawing")
    seed: int = Field(0, description="part n of a seed is always the same picture")
    parts: int | None = Field(None, ge=1, description="how many parts; endless unless given")
    defect_share: float = Field(0.1, ge=0, le=1, description="share of defective parts")
    defect_sizes: tuple[Share, Share] = Field(
        (0.10, 0.24), description="smallest and largest defect as a share of the picture's side"
    )
    defect_contrasts: tuple[Share, Share] = Field((0.75, 1.0), description="faintest and strongest a defect stands out")


class CameraTable(_Table):
    """A camera that OpenCV opens."""

    kind: Literal["camera"] = Field(description="which source")
    device: str = Field("0", description="number, path or address of the camera")
    stale_frames: int = Field(
        0, ge=0, description="pictures to skip because the driver kept them from before the trigger"
    )


Source = Annotated[FolderTable | ReplayTable | SyntheticTable | CameraTable, Field(discriminator="kind")]


class TriggerTable(_Table):
    """When a part stands before the camera."""

    topic: str | None = Field(None, description="MQTT topic that tells each part; the clock does unless given")
    takt_seconds: NotNegative = Field(1.0, description="from one part to the next, when the clock tells")
    delay_seconds: NotNegative = Field(0.0, description="before the first part, when the clock tells")


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
    """Everything an edge node is told. A variable such as `PATCHLINE_EDGE_BROKER__HOST` goes before the file."""

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
    gate: Gate = Field(LogGateTable(), description="what moves a part off the line")
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
