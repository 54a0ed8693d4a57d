"""Commissioning a station: from a folder of good pictures to artifacts that judge its frames, and its profile.

Every picture goes the way a frame will go: resized, encoded, decoded, through the backbone; or, for a feature codec,
resized, through the backbone, encoded and decoded. So the memory bank holds what the service will really see, and the
threshold belongs to the codec it was found with.
"""

from dataclasses import replace

from patchline.artifacts.artifact import look_at_folder
from patchline.artifacts.choices import Choice
from patchline.artifacts.engines import EngineCache, default_backbone
from patchline.artifacts.store import PROFILE_FILE, replace_profile
from patchline.commissioning.codec_pass import AssetBudget
from patchline.commissioning.commissioned import Commissioned, CommissionedCodec
from patchline.commissioning.ladder import LadderStep
from patchline.commissioning.normal_pictures import read_pictures
from patchline.commissioning.pipeline import Chosen, Workbench, choose
from patchline.commissioning.request import OnPhase, Request
from patchline.commissioning.stopwatch import Stopwatch
from patchline.commissioning.trials.codecs import CodecTrial, ladder_of
from patchline.commissioning.trials.input_size import InputTrial, way_of
from patchline.commissioning.trials.planted import TwoFolds
from patchline.pictures.files import read_category
from patchline.vision.codecs.lookup import is_feature_codec
from patchline.vision.detectors import detector_class
from patchline.vision.pixels.arrays import Size
from patchline.wire.messages import Profile, ProfileCodec, pack, sealed

__all__ = ["OnPhase", "Request", "commission"]


def commission(request: Request, *, on_progress: OnPhase) -> Commissioned:
    """Fit, calibrate and write one artifact a codec, then the station's profile.

    An artifact that is replaced is kept in `older/`: parts that wait in an outbox are judged by the one they name.

    Raises:
        MisconfiguredError: There are no or too few pictures, one cannot be read, a codec, backbone, detector or
            parameter does not exist, the station would have to fetch more than the budget allows, or no codec's loss
            is bounded as asked for.
        UnavailableError: The output folder cannot be written.
    """
    kind = detector_class(request.detector)
    chosen = _chosen(request)
    look_at_folder(request.out / str(request.station))
    watch = Stopwatch()
    folds = TwoFolds(kind, request.parameters, request.seed)
    input_choice: Choice | None = None
    if request.tune_input:
        size, input_choice = _input_size(request, folds, chosen, on_progress)
        request = replace(request, input_size=size)
    with watch("read"):
        normal = read_pictures(
            request.data,
            request.input_size,
            skip_unreadable=request.skip_unreadable,
            on_progress=lambda done, total: on_progress("read", done, total),
        )
    budget = AssetBudget(
        limit_bytes=request.asset_budget_bytes, uplink_bytes_per_second=request.uplink_bytes_per_second
    )
    bench = Workbench(normal.pixels, chosen, out=request.out, budget=budget, seed=request.seed)
    choice = _codec_choice(request, CodecTrial(bench, folds), on_progress)
    names = request.codecs if choice is None else ladder_of(choice, request.codecs)
    step = LadderStep(request=request, kind=kind, bench=bench, codec_choice=choice, input_choice=input_choice)
    commissioned_codecs = tuple(step.make(name, on_progress) for name in names)
    ladder = tuple(_profile_codec(profile_codec) for profile_codec in commissioned_codecs)
    profile = sealed(Profile(station=str(request.station), input_size=request.input_size, ladder=ladder))
    replace_profile(request.out / str(request.station) / PROFILE_FILE, pack(profile))
    found = len(normal.pixels), normal.unreadable, normal.doubts
    return Commissioned(request.out, profile, commissioned_codecs, *found, watch.seconds["read"], choice, input_choice)


def _chosen(request: Request) -> Chosen:
    return choose(
        request.codecs,
        EngineCache(threads=request.threads),
        backbone=request.backbone or default_backbone(),
        taps=request.taps,
        edge_backbone=request.edge_backbone,
        edge_taps=request.edge_taps,
    )


def _input_size(request: Request, folds: TwoFolds, chosen: Chosen, on_progress: OnPhase) -> tuple[Size, Choice]:
    """The input size worth its cost, by the first codec where it is known and one of pictures."""
    stride, send = way_of(chosen, request.codecs[0] if request.false_loss is None else "")
    trial = InputTrial(asked=request.input_size, stride=stride, folds=folds, send=send)
    return trial.choose(
        read_category(request.data).train, lambda done, total: on_progress("try input sizes", done, total)
    )


def _codec_choice(request: Request, trial: CodecTrial, on_progress: OnPhase) -> Choice | None:
    """The outcome of a trial, where one was asked for."""
    if request.false_loss is None:
        return None
    return trial.choose(
        request.codecs, request.false_loss, phases=lambda phase: lambda done, total: on_progress(phase, done, total)
    )


def _profile_codec(profile_codec: CommissionedCodec) -> ProfileCodec:
    backbone = profile_codec.artifact.header.backbone
    at_edge = is_feature_codec(profile_codec.codec)
    return ProfileCodec(
        codec=profile_codec.codec,
        artifact=profile_codec.artifact.fingerprint,
        backbone=backbone.name if at_edge else "",
        backbone_sha256=backbone.sha256 if at_edge else "",
        assets=profile_codec.assets,
    )
