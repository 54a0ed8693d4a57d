"""Scenarios made ready: commissioned as a station is, in groups that share a backbone and its feature maps."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from patchline.artifacts.engines import EngineCache
from patchline.artifacts.store import StoredArtifact, open_store
from patchline.bench.transmission.scenarios import EDGE, PAPER_TAPS, Scenario
from patchline.commissioning.commission import Request, commission
from patchline.commissioning.commissioned import CommissionedCodec
from patchline.replay.phases import OnPhase
from patchline.vision.backbones import BACKBONES
from patchline.vision.backbones.store import find
from patchline.wire.errors import MisconfiguredError
from patchline.wire.topics import Station

NO_BUDGET_BYTES = 1 << 40
"""What a station would have to fetch is a figure here, not a reason to refuse."""


@dataclass(frozen=True)
class Ready:
    """A scenario with all that judges its parts.

    Attributes:
        folder: Of its group's artifacts, as `patchline commission --out` writes it.
        images: Normal pictures it learnt from.
    """

    name: str
    scenario: Scenario
    folder: Path
    images: int
    profile_codec: CommissionedCodec
    shelved: StoredArtifact

    @property
    def seconds(self) -> float:
        """What commissioning it took."""
        return sum(self.profile_codec.seconds.values())

    @property
    def asset_bytes(self) -> int:
        """What a station fetches once that has neither its backbone nor its fitted codec."""
        return sum(asset.size for asset in self.profile_codec.assets)


def taps_at_hand(scenarios: Mapping[str, Scenario]) -> tuple[dict[str, Scenario], str]:
    """The scenarios, and why those with the paper's taps are missing; nothing where they are not.

    No file of weights with these taps is published: it has to be exported first, which needs the torch extra.
    """
    try:
        find(BACKBONES[EDGE], PAPER_TAPS)
    except MisconfiguredError as error:
        left = {name: scenario for name, scenario in scenarios.items() if scenario.taps != PAPER_TAPS}
        if len(left) == len(scenarios):
            return left, ""
        return left, f"left out, for want of {EDGE} with the paper's taps: {error.remedy}"
    return dict(scenarios), ""


def make_ready(
    scenarios: Mapping[str, Scenario], data: Path, out: Path, room: EngineCache, *, seed: int, on_phase: OnPhase
) -> dict[str, Ready]:
    """Commission every scenario.

    Args:
        scenarios: Name -> what to make.
        data: The category's folder.
        out: A folder of artifacts is made below it for each group.
        room: Runs what the service runs afterwards.
        seed: Of everything random.
        on_phase: Told of the progress.

    Raises:
        MisconfiguredError: See `patchline.commissioning.commission.commission`.
        UnavailableError: The folder cannot be written.
    """
    made: dict[str, Ready] = {}
    groups = {scenario.group: scenario for scenario in scenarios.values()}
    for number, (group, first) in enumerate(groups.items()):
        members = {name: scenario for name, scenario in scenarios.items() if scenario.group == group}
        folder = out / f"group-{number}"
        done = commission(_request(first, tuple(each.codec for each in members.values()), data, folder, seed),
                          on_progress=on_phase)  # fmt: skip
        artifact_store = open_store(folder, engine_for=room.engine_for)
        shelved = {artifact.codec: artifact for artifact in artifact_store.artifacts}
        for (name, scenario), profile_codec in zip(members.items(), done.commissioned_codecs, strict=True):
            made[name] = Ready(name, scenario, folder, done.images, profile_codec, shelved[scenario.codec])
    return {name: made[name] for name in scenarios}


def _request(scenario: Scenario, codecs: tuple[str, ...], data: Path, out: Path, seed: int) -> Request:
    return Request(
        data=data,
        station=Station("bench", "transmission", "one"),
        codecs=codecs,
        out=out,
        backbone=scenario.backbone,
        taps=scenario.taps,
        detector=scenario.detector,
        folds=0,
        seed=seed,
        asset_budget_bytes=NO_BUDGET_BYTES,
    )
