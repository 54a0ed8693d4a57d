"""What a person tells the service: a TOML file, overridden by environment variables `PATCHLINE_ANALYTICS_*`."""

import difflib
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from patchline.mqtt.settings import LinkSettings, TlsSettings, check_host, client_id_of
from patchline.runtime.redaction import may_be_shown
from patchline.wire.errors import MisconfiguredError
from patchline.wire.topics import DEFAULT_PREFIX

ENVIRONMENT_PREFIX = "PATCHLINE_ANALYTICS_"
LEVEL_PATTERN = r"^[A-Za-z0-9_-]{1,64}$"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TlsSection(_Section):
    """How the connection to the broker is encrypted."""

    ca: Path = Field(description="PEM file of the authorities that may sign the broker's certificate")
    certificate: Path | None = Field(None, description="PEM file of the service's own certificate")
    key: Path | None = Field(None, description="PEM file of its private key")
    minimum_version: Literal["1.2", "1.3"] = Field("1.2", description="The oldest TLS version spoken")


class BrokerSection(_Section):
    """Where the broker is, and how much may be on the way."""

    host: str = Field("127.0.0.1", description="Host name or address of the MQTT broker")
    port: int = Field(1883, ge=1, le=65535, description="Its port")
    protocol: Literal["5", "3.1.1"] = Field("5", description="MQTT version")
    client_id: str = Field(
        "", description="Unique at the broker; `patchline-<name>` by default, and a digest of our key"
    )
    username: str | None = Field(None, description="User name at the broker")
    password: SecretStr | None = Field(None, description="Password; better given in the environment")
    tls: TlsSection | None = Field(None, description="Encryption; none by default")
    keepalive_seconds: int = Field(15, ge=1, le=65535, description="A dead connection is noticed after twice this")
    max_inflight: int = Field(32, ge=1, le=65535, description="Live parts the service may hold unacknowledged")
    backlog_inflight: int = Field(8, ge=1, le=65535, description="Historical parts it may hold unacknowledged")
    max_packet_bytes: int = Field(16 * 1024 * 1024, ge=4096, description="The largest MQTT packet sent or received")
    figures: bool = Field(
        True, description="Show what Mosquitto tells of itself on $SYS among the metrics; MQTT 5 only"
    )

    @field_validator("host")
    @classmethod
    def _is_a_host(cls, text: str) -> str:
        try:
            check_host(text)
        except MisconfiguredError as error:
            raise ValueError(str(error)) from error
        return text

    def link_settings(self, name: str) -> LinkSettings:
        """The same, for the live link of the service of this name.

        Raises:
            MisconfiguredError: They contradict each other.
        """
        tls = TlsSettings(**dict(self.tls)) if self.tls else None
        return LinkSettings(
            host=self.host,
            port=self.port,
            client_id=self.client_id or client_id_of(f"patchline-{name}", tls),
            protocol=self.protocol,
            username=self.username,
            password=self.password.get_secret_value() if self.password else None,
            tls=tls,
            keepalive_seconds=self.keepalive_seconds,
            max_inflight=self.max_inflight,
            max_packet_bytes=self.max_packet_bytes,
        )


class WorkerSection(_Section):
    """How parts are judged."""

    batch_parts: int = Field(8, ge=1, le=256, description="Parts judged together at most")
    wait_seconds: float = Field(
        0.0,
        ge=0,
        le=1,
        description="How long a part waits for others; those that come while one is judged go together anyway",
    )
    queue_messages: int = Field(256, ge=1, description="Messages that may wait for the worker")
    queue_bytes: int = Field(256 * 1024 * 1024, ge=1, description="Bytes they may have together")
    threads: int = Field(1, ge=1, le=256, description="CPU threads of backbone and search")
    device: str = Field("cpu", description="Where backbones run: cpu, or with the torch extra cuda or cuda:1")
    maps: Literal["anomalous", "all", "none"] = Field("anomalous", description="Parts whose anomaly map is published")


class RecordsSection(_Section):
    """What is remembered, and for how long."""

    url: str = Field("sqlite:///records.db", description="SQLAlchemy URL of the database; SQLite or PostgreSQL")
    keep_days: float = Field(90, gt=0, description="Records are forgotten after this; outboxes must not be older")
    max_dead_letters: int = Field(10_000, ge=0, description="Unreadable messages kept at most, the newest ones")
    max_letter_bytes: int = Field(1024 * 1024, ge=0, description="Bytes kept of each of them")
    grace_seconds: float = Field(
        900, ge=0, description="How long a number may be missing before it counts as unaccounted for"
    )


class Settings(BaseSettings):
    """The service's settings."""

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True
    )

    name: str = Field("analytics", pattern=LEVEL_PATTERN, description="The service's name in its status topic")
    site: str = Field("", description="Whose stations are served; by default the one site of the artifacts")
    prefix: str = Field(DEFAULT_PREFIX, description="Head of every topic")
    shared_group: str = Field("", description="Name under which several services share the parts; empty for one alone")
    artifacts: Path = Field(description="The folder that `patchline commission --out` wrote")
    verify_key: Path | None = Field(
        None,
        description="PEM file of the key that must have signed artifacts and profiles; all are loaded unless given",
    )
    older_keep_days: float = Field(
        90, gt=0, description="Replaced artifacts in older/ are removed after this; outboxes must not be older"
    )
    reload_seconds: float = Field(5.0, ge=0.1, description="How often that folder is looked at for something new")
    metrics_port: int = Field(0, ge=0, le=65535, description="Port of /metrics, /healthz and /readyz; 0 for none")
    metrics_host: str = Field("127.0.0.1", description="The address they are served on; 0.0.0.0 for every one")
    drain_seconds: float = Field(20.0, ge=0, description="How long a stop waits for parts that were admitted")
    broker: BrokerSection = Field(default_factory=BrokerSection, description="The MQTT broker")
    worker: WorkerSection = Field(default_factory=WorkerSection, description="How parts are judged")
    records: RecordsSection = Field(default_factory=RecordsSection, description="What is remembered")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic-settings passes all five by name
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - as above
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - as above
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment first, then the file, which arrives as initial values."""
        return env_settings, init_settings


def read_settings(path: Path) -> Settings:
    """Read a TOML file.

    Relative paths in it, also in a SQLite URL, are taken from the working directory.

    Raises:
        MisconfiguredError: The file is missing or not TOML, or a key is unknown, missing or wrong.
    """
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MisconfiguredError(
            f"the settings cannot be read: {error.strerror}", where=str(path), remedy="name an existing file"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise MisconfiguredError(
            f"the settings are not TOML: {error}", where=str(path), remedy="correct the line"
        ) from error
    try:
        return Settings(**given)
    except ValidationError as error:
        raise _explained(error, path) from error


def _explained(error: ValidationError, path: Path) -> MisconfiguredError:
    # A misspelt key is also a missing one; the spelling is what the person has to hear of.
    first = min(error.errors(include_url=False), key=lambda each: each["type"] != "extra_forbidden")
    keys = [str(part) for part in first["loc"]]
    where = f"{path}: {'.'.join(keys)}"
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(keys[-1], _known_keys(keys[:-1]), n=1, cutoff=0.0)
        return MisconfiguredError(
            f"there is no setting {'.'.join(keys)!r}", where=str(path), remedy=f"did you mean {near[0]!r}?"
        )
    if first["type"] == "missing":
        return MisconfiguredError(f"the setting {'.'.join(keys)!r} is missing", where=str(path), remedy="add it")
    now = f"it is {first['input']!r} now" if may_be_shown(".".join(keys)) else "correct it"
    return MisconfiguredError(first["msg"], where=where, remedy=now)


def _known_keys(sections: list[str]) -> list[str]:
    model: Any = Settings
    for section in sections:
        annotation = model.model_fields[section].annotation
        model = annotation if isinstance(annotation, type) else TlsSection
    return list(model.model_fields)
