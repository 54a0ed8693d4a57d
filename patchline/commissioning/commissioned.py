"""What commissioning has made."""

from dataclasses import dataclass
from pathlib import Path

from patchline.artifacts.artifact import Artifact, BackboneKey
from patchline.artifacts.assets import FOLDER
from patchline.artifacts.choices import Choice
from patchline.artifacts.store import PROFILE_FILE
from patchline.wire.messages import AssetReference, Profile


@dataclass(frozen=True)
class CommissionedCodec:
    """One codec's artifact, as far as a person wants to know.

    Attributes:
        payload_bytes: Mean size of an encoded picture.
        bank: Shapes of the detector's tensors.
        facts: What the fit has found out, name -> number.
        seconds: Phase -> seconds spent in it.
        assets: What an edge node needs to encode like this.
    """

    codec: str
    path: Path
    artifact: Artifact
    payload_bytes: float
    bank: dict[str, tuple[int, ...]]
    facts: dict[str, float]
    seconds: dict[str, float]
    assets: tuple[AssetReference, ...] = ()

    @property
    def backbone(self) -> BackboneKey:
        """Whose feature maps it judges."""
        return self.artifact.header.backbone


@dataclass(frozen=True)
class Commissioned:
    """What commissioning has made.

    Attributes:
        out: The folder of all artifacts.
        images: How many normal pictures it rests on.
        skipped: Why pictures were left out, one sentence each.
        doubts: What is odd about those that were not, one sentence each.
        read_seconds: For opening and resizing the pictures.
        choice: Why the first codec is the first one, where it was chosen by its loss.
        input_choice: Why the input size is what it is, where others were tried.
    """

    out: Path
    profile: Profile
    commissioned_codecs: tuple[CommissionedCodec, ...]
    images: int
    skipped: tuple[str, ...]
    doubts: tuple[str, ...]
    read_seconds: float
    choice: Choice | None = None
    input_choice: Choice | None = None

    @property
    def profile_path(self) -> Path:
        """The profile's file."""
        return self.out / self.profile.station / PROFILE_FILE

    @property
    def assets(self) -> dict[str, AssetReference]:
        """What the station may have to fetch, by sha256."""
        return {asset.sha256: asset for profile_codec in self.commissioned_codecs for asset in profile_codec.assets}

    @property
    def paths(self) -> list[Path]:
        """Every file written."""
        assets = [self.out / FOLDER / sha256 for sha256 in self.assets]
        return [*(profile_codec.path for profile_codec in self.commissioned_codecs), *assets, self.profile_path]
