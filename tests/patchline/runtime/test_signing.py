import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from edge_node.control.profile_cache import ProfileCache, read_profile
from patchline.runtime import signing
from patchline.runtime.signing import SigningKey, VerifyKey
from patchline.wire.errors import MisconfiguredError, UnreadableError
from patchline.wire.messages import Profile, ProfileCodec, check_profile, pack, sealed, unpack

STATION = "plant/line/one"
DIGEST = "5" * 64

Keys = Callable[[str], tuple[Path, Path]]


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    """`keys(name)`: a new pair in files, the private half first."""

    def make(name: str) -> tuple[Path, Path]:
        halves = tmp_path / f"{name}.key", tmp_path / f"{name}.pem"
        for path, content in zip(halves, signing.generate(), strict=True):
            path.write_bytes(content)
        return halves

    return make


def profile_of(codec: str = "png", station: str = STATION) -> Profile:
    ladder = (ProfileCodec(codec=codec, artifact="a" * 64),)
    return sealed(Profile(station=station, input_size=(32, 32), ladder=ladder))


def signed(profile: Profile, key: Path) -> Profile:
    signature = SigningKey(key).sign("profile", profile.fingerprint)
    return msgspec.structs.replace(profile, signature=signature)


def test_what_the_owner_signed_is_believed_and_nothing_else(keys: Keys) -> None:
    (private, public), (_, strange) = keys("owner"), keys("stranger")
    signature = SigningKey(private).sign("artifact", DIGEST)
    VerifyKey(public).check("artifact", DIGEST, signature)
    forgeries: list[tuple[Path, signing.Subject, str, bytes]] = [
        (public, "profile", DIGEST, signature),
        (public, "artifact", "6" * 64, signature),
        (public, "artifact", DIGEST, signature[:-1]),
        (public, "artifact", DIGEST, bytes([signature[0] ^ 1]) + signature[1:]),
        (public, "artifact", DIGEST, b""),
        (strange, "artifact", DIGEST, signature),
    ]
    for key, subject, digest, claimed in forgeries:
        with pytest.raises(UnreadableError) as caught:
            VerifyKey(key).check(subject, digest, claimed)
        assert caught.value.code == "signature"


def test_a_signature_is_one_that_openssl_makes_and_believes(keys: Keys, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("the openssl program is not installed")
    private, public = keys("owner")
    statement, signature = tmp_path / "statement", tmp_path / "signature"
    statement.write_bytes(signing.statement("artifact", DIGEST))
    shared = ["openssl", "pkeyutl", "-rawin", "-in", str(statement)]
    made = [*shared, "-sign", "-inkey", str(private), "-out", str(signature)]
    subprocess.run(made, check=True, capture_output=True)
    assert signature.read_bytes() == SigningKey(private).sign("artifact", DIGEST)
    believed = [*shared, "-verify", "-pubin", "-inkey", str(public), "-sigfile", str(signature)]
    subprocess.run(believed, check=True, capture_output=True)


def test_a_signature_survives_its_file_and_a_damaged_file_is_unreadable(keys: Keys, tmp_path: Path) -> None:
    signature = SigningKey(keys("owner")[0]).sign("artifact", DIGEST)
    path = tmp_path / "x.sig"
    assert signing.from_file(path) == b""
    path.write_bytes(signing.to_file(signature))
    assert signing.from_file(path) == signature
    for damage in (b"?", signing.to_file(signature[:-1]), b"A" * 10_000, b""):
        path.write_bytes(damage)
        with pytest.raises(UnreadableError):
            signing.from_file(path)


def test_a_key_that_is_none_is_refused_without_being_quoted(keys: Keys, tmp_path: Path) -> None:
    private, public = keys("owner")
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("-----BEGIN PRIVATE KEY-----\nc2VjcmV0c2VjcmV0\n-----END PRIVATE KEY-----\n")
    for kind, path in ((SigningKey, public), (VerifyKey, private), (SigningKey, nonsense), (VerifyKey, nonsense)):
        with pytest.raises(MisconfiguredError, match="Ed25519") as caught:
            kind(path)
        assert "c2Vj" not in str(caught.value)
    with pytest.raises(MisconfiguredError, match="cannot be read"):
        VerifyKey(tmp_path / "missing.pem")


def test_a_missing_extra_is_named(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    private, public = keys("owner")
    for name in [name for name in sys.modules if name.split(".")[0] == "cryptography"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    for attempt in (lambda: SigningKey(private), lambda: VerifyKey(public), signing.generate):
        with pytest.raises(MisconfiguredError, match=r"patchline\[site\]"):
            attempt()


def test_a_station_with_a_key_takes_the_owners_profiles_only(keys: Keys, tmp_path: Path) -> None:
    (private, public), (strange, _) = keys("owner"), keys("stranger")
    key, profile = VerifyKey(public), profile_of()
    good = signed(profile, private)
    assert read_profile(pack(good), STATION, key) == good
    assert read_profile(pack(profile), STATION) == profile
    moved = msgspec.structs.replace(signed(profile_of(station="plant/line/two"), private), station=STATION)
    for forged in (
        profile,
        signed(profile, strange),
        msgspec.structs.replace(profile_of("webp:1"), signature=good.signature),
        sealed(moved),
    ):
        with pytest.raises(UnreadableError):
            read_profile(pack(forged), STATION, key)
    del tmp_path


def test_a_cached_profile_is_not_believed_more_than_a_fresh_one(
    keys: Keys, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    private, public = keys("owner")
    ProfileCache(tmp_path / "cache", STATION).keep(profile_of())
    careful = ProfileCache(tmp_path / "cache", STATION, verify_key=VerifyKey(public))
    assert careful.load() is None
    assert "not to be trusted" in caplog.text
    good = signed(profile_of(), private)
    assert careful.offer(careful.read(pack(good))) == good
    careful.keep(good)
    assert ProfileCache(tmp_path / "cache", STATION, verify_key=VerifyKey(public)).load() == good


def test_a_signature_changes_no_fingerprint_so_older_stations_take_signed_profiles(keys: Keys) -> None:
    class OlderProfile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
        station: str
        input_size: tuple[int, int]
        ladder: tuple[ProfileCodec, ...]
        fingerprint: str = ""

    good = signed(profile_of(), keys("owner")[0])
    check_profile(good)
    assert good.fingerprint == profile_of().fingerprint
    older: OlderProfile = unpack(pack(good), OlderProfile)
    assert older.fingerprint == good.fingerprint
    assert pack(msgspec.structs.replace(older, fingerprint="")) == pack(
        msgspec.structs.replace(good, fingerprint="", signature=b"")
    )
