"""One memory bank for all stations of a product: made once, named by every station's profile."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec

from patchline.artifacts.artifact import SUFFIX, Artifact, load
from patchline.artifacts.assets import FOLDER
from patchline.artifacts.signatures import sign
from patchline.artifacts.store import OLDER_FOLDER, PROFILE_FILE
from patchline.commissioning.commission import OnPhase, Request, commission
from patchline.replay.signing import Signer
from patchline.runtime.atomic_file import write_atomically
from patchline.wire.errors import MisconfiguredError, UnreadableError
from patchline.wire.messages import Profile, ProfileCodec, pack, sealed, unpack


def commission_for(
    request: Request, stations: Sequence[str], *, on_phase: OnPhase, signer: Signer | None = None
) -> Artifact:
    """Commission one station and let the others share what was made.

    Args:
        request: What to commission; its station is the first of `stations`.
        stations: Every station of the product.
        on_phase: Told of the progress.
        signer: Signs what is made.

    Raises:
        MisconfiguredError: See `patchline.commissioning.commission.commission`.
        UnavailableError: The output folder cannot be written.
    """
    made = commission(request, on_progress=on_phase)
    share(made.profile, stations, request.out, signer=signer)
    return made.commissioned_codecs[0].artifact


def adopt(
    source: Path, stations: Sequence[str], out: Path, *, codec: str | None = None, signer: Signer | None = None
) -> Artifact:
    """Take an artifact that was commissioned before for some stations of a simulated line.

    Args:
        source: An artifact, or a folder that `patchline commission --out` wrote.
        stations: Who shall use it.
        out: The folder of the line's artifacts.
        codec: Which one of a folder with several to take.
        signer: Signs the profiles; must have signed the artifact, unless its key was made for this line.

    Raises:
        MisconfiguredError: There is no such artifact, more than one, it is damaged, or not signed by the signer.
    """
    path = _find(source, codec)
    artifact = load(path)
    if signer is not None:
        signer.check(path, artifact.fingerprint)
    copy = out / stations[0] / path.name
    write_atomically(copy, path.read_bytes())
    assets = next((folder / FOLDER for folder in path.parents if (folder / FOLDER).is_dir()), None)
    if assets is not None:
        shutil.copytree(assets, out / FOLDER, dirs_exist_ok=True)
    profile = Profile(
        station=stations[0], input_size=artifact.header.input_size, ladder=(_profile_codec_of(path, artifact),)
    )
    share(profile, stations, out, signer=signer)
    return artifact


def share(profile: Profile, stations: Sequence[str], out: Path, *, signer: Signer | None = None) -> None:
    """Write the same profile for every station, each under its own name, signed where somebody signs.

    Raises:
        UnavailableError: The folder cannot be written.
    """
    for station in stations:
        own = sealed(msgspec.structs.replace(profile, station=station))
        path = out / station / PROFILE_FILE
        if signer is None:
            write_atomically(path, pack(own))
        else:
            sign(out, own, path, (profile_codec.artifact for profile_codec in own.ladder), signer.key)


def _find(source: Path, codec: str | None) -> Path:
    if source.is_file():
        return source
    paths = [path for path in sorted(source.rglob(f"*{SUFFIX}")) if path.parent.name != OLDER_FOLDER]
    if codec is not None:
        paths = [path for path in paths if path.stem == codec.replace(":", "-")]
    if len(paths) == 1:
        return paths[0]
    kind = "artifact" if codec is None else f"artifact for codec {codec}"
    if not paths:
        raise MisconfiguredError(
            f"there is no {kind}", where=str(source), remedy="name a folder that `patchline commission --out` wrote"
        )
    raise MisconfiguredError(
        f"there are {len(paths)} artifacts", where=str(source), remedy=f"name one of them, such as {paths[0]}"
    )


def _profile_codec_of(path: Path, artifact: Artifact) -> ProfileCodec:
    """The artifact's place in the ladder of the profile beside it, with its assets; a bare one where there is none.

    Raises:
        MisconfiguredError: It judges a feature codec, and there is no profile to say what the stations need for that.
    """
    try:
        profile: Profile = unpack((path.parent / PROFILE_FILE).read_bytes(), Profile)
        found = [profile_codec for profile_codec in profile.ladder if profile_codec.artifact == artifact.fingerprint]
    except (OSError, UnreadableError):
        found = []
    if not found and artifact.header.codec_asset:
        raise MisconfiguredError(
            f"no profile beside the artifact says what stations need for {artifact.header.codec}",
            where=str(path.parent / PROFILE_FILE),
            remedy="name a whole folder that `patchline commission --out` wrote",
        )
    return found[0] if found else ProfileCodec(codec=artifact.header.codec, artifact=artifact.fingerprint)
