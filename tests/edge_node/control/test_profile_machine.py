"""Profiles that change, wait for assets, go back and are withdrawn: the encoder in use is the one last published."""

import tempfile
import threading
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from edge_node.control.active_encoder import ActiveEncoder
from edge_node.control.profile_cache import ProfileCache
from edge_node.control.profile_updates import ProfileUpdates
from edge_node.encoding.image_encoder import Encoder, ImageEncoder
from edge_node.metrics import EdgeMetrics
from patchline.mqtt.delivery import Delivery
from patchline.vision.codecs.lookup import codec_of
from patchline.wire.errors import MisconfiguredError
from patchline.wire.messages import AssetChunk, AssetReference, Profile, ProfileCodec, pack, sealed, sha256_of

STATION = "plant/line1/cam1"
CONTENTS = [b"codebook-0", b"codebook-1"]
CODECS = ("png", "webp:80", "raw")


def profile_of(number: int, *, asset: int | None = None, codecs: tuple[str, ...] = CODECS) -> Profile:
    references = () if asset is None else (reference_of(CONTENTS[asset]),)
    ladder = tuple(ProfileCodec(codec=codec, artifact=f"{number:064x}", assets=references) for codec in codecs)
    return sealed(Profile(station=STATION, input_size=(32, 32), ladder=ladder))


def reference_of(content: bytes) -> AssetReference:
    return AssetReference(name="codec", sha256=sha256_of(content), size=len(content))


PROFILES = [
    profile_of(0),
    profile_of(1, codecs=("webp:80",)),
    profile_of(2, asset=0),
    profile_of(3, asset=1),
    profile_of(4, codecs=("hologram:1",)),
]
UNUSABLE = PROFILES[4]


class Silent:
    """Nobody listens to the status."""

    def announce(self, *, answers: str = "", error: str = "") -> None:
        """Say nothing."""

    def wake(self) -> None:
        """Ask for nothing."""


class ProfileMachine(RuleBasedStateMachine):
    """The model: the profile published last, and the assets that have arrived."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.arrived: set[str] = set()
        self.wanted: Profile | None = None
        self.used: Profile | None = None
        self.start()

    def start(self) -> None:
        self.active_encoder = ActiveEncoder()
        cache = ProfileCache(Path(self.folder.name), STATION)
        status: Any = Silent()
        self.updates = ProfileUpdates(STATION, self.active_encoder, cache, status, EdgeMetrics())
        self.updates.boot()

    def expect(self) -> None:
        """The wanted profile is used once its assets are here, if this edge can encode it."""
        if self.wanted is None or not {asset.sha256 for asset in self.wanted.ladder[0].assets} <= self.arrived:
            return
        if self.wanted != UNUSABLE:
            self.used = self.wanted
        self.wanted = None

    @rule(profile=st.sampled_from(PROFILES))
    def the_service_publishes(self, profile: Profile) -> None:
        self.updates.receive_profile(Delivery(topic="t/profile", payload=pack(profile)))
        self.wanted = profile
        self.expect()

    @rule()
    def the_service_withdraws_its_profile(self) -> None:
        self.updates.receive_profile(Delivery(topic="t/profile", payload=b""))
        self.wanted = None

    @rule(content=st.sampled_from(CONTENTS))
    def an_asset_arrives(self, content: bytes) -> None:
        chunk = AssetChunk(sha256=sha256_of(content), size=len(content), offset=0, data=content)
        self.updates.receive_asset(Delivery(topic="t/asset", payload=pack(chunk)))
        if self.wanted is not None and sha256_of(content) in {asset.sha256 for asset in self.wanted.ladder[0].assets}:
            self.arrived.add(sha256_of(content))
        self.expect()

    @rule(codec=st.sampled_from(CODECS))
    def a_command_chooses_a_codec(self, codec: str) -> None:
        try:
            self.active_encoder.choose(codec)
        except MisconfiguredError:
            assert self.used is None or codec not in {profile_codec.codec for profile_codec in self.used.ladder}
        else:
            assert self.active_encoder.encoder is not None
            assert self.active_encoder.encoder.profile_codec.codec == codec

    @rule()
    def the_station_starts_again(self) -> None:
        self.start()
        self.wanted = None

    @invariant()
    def the_profile_in_use_is_the_one_last_published_that_can_be_used(self) -> None:
        encoder = self.active_encoder.encoder
        assert (encoder.profile if encoder else None) == self.used

    def teardown(self) -> None:
        self.folder.cleanup()


class Interrupting:
    """Makes encoders. While one is made, another thread changes the encoder in use, as drawn."""

    def __init__(self) -> None:
        self.meanwhile: list[Any] = []

    def make(self, profile: Profile, profile_codec: ProfileCodec) -> Encoder:
        if self.meanwhile:
            thread = threading.Thread(target=self.meanwhile.pop(0))
            thread.start()
            thread.join()
        return ImageEncoder(profile, profile_codec, codec_of("png"))


LADDERS = [("features", "int8"), ("features", "int8", "deflate"), ("int8",)]


class EncoderMachine(RuleBasedStateMachine):
    """Changes of codec and of profile that overlap: no change of codec brings an earlier profile back."""

    def __init__(self) -> None:
        super().__init__()
        self.features = Interrupting()
        self.active_encoder = ActiveEncoder(self.features)
        self.number = 0
        self.latest: Profile | None = None
        self.chosen = ""

    def publish(self) -> None:
        self.number += 1
        profile = profile_of(self.number, codecs=LADDERS[self.number % len(LADDERS)])
        self.latest = profile
        self.active_encoder.use(profile)

    @rule()
    def a_profile_comes(self) -> None:
        self.publish()

    @rule(codec=st.sampled_from(("features", "int8", "deflate")))
    def a_profile_comes_while_a_codec_is_chosen(self, codec: str) -> None:
        self.features.meanwhile = [self.publish]
        self.choose(codec)
        self.features.meanwhile = []

    @rule(codec=st.sampled_from(("features", "int8", "deflate")))
    def a_codec_is_chosen_while_a_profile_comes(self, codec: str) -> None:
        self.features.meanwhile = [lambda: self.choose(codec)]
        self.publish()
        self.features.meanwhile = []

    def choose(self, codec: str) -> None:
        try:
            self.active_encoder.choose(codec)
        except MisconfiguredError:
            return

    @invariant()
    def the_latest_profile_is_in_use_with_a_codec_of_its_ladder(self) -> None:
        encoder = self.active_encoder.encoder
        assert (encoder.profile if encoder else None) == self.latest
        if encoder is not None:
            assert encoder.profile_codec in encoder.profile.ladder


TestProfiles = ProfileMachine.TestCase
TestProfiles.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestEncoder = EncoderMachine.TestCase
TestEncoder.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)
