"""The last good profile survives everything but a second damage."""

import logging
import os
from pathlib import Path

import msgspec
import pytest

from edge_node.control.profile_cache import ProfileCache, read_profile
from patchline.wire.errors import UnavailableError, UnreadableError
from patchline.wire.messages import (
    MAX_ASSET_CHUNK_BYTES,
    AssetChunk,
    AssetReference,
    Profile,
    ProfileCodec,
    pack,
    sealed,
    sha256_of,
)

STATION = "plant/line1/cam1"
CODEBOOK = bytes(range(256)) * 2500


def profile_with(*assets: bytes, codec: str = "png") -> Profile:
    references = tuple(
        AssetReference(name=f"asset-{number}", sha256=sha256_of(content), size=len(content))
        for number, content in enumerate(assets)
    )
    profile_codec = ProfileCodec(codec=codec, artifact="a" * 64, assets=references)
    return sealed(Profile(station=STATION, input_size=(32, 32), ladder=(profile_codec,)))


def chunks_of(content: bytes) -> list[AssetChunk]:
    return [
        AssetChunk(
            sha256=sha256_of(content),
            size=len(content),
            offset=offset,
            data=content[offset : offset + MAX_ASSET_CHUNK_BYTES],
        )
        for offset in range(0, len(content), MAX_ASSET_CHUNK_BYTES)
    ]


@pytest.fixture
def cache(tmp_path: Path) -> ProfileCache:
    return ProfileCache(tmp_path / "profile", STATION)


def test_a_profile_without_assets_is_complete_and_found_after_a_reboot(cache: ProfileCache, tmp_path: Path) -> None:
    profile = profile_with()
    assert cache.offer(profile) == profile
    cache.keep(profile)
    assert ProfileCache(tmp_path / "profile", STATION).load() == profile


def test_assets_in_any_order_and_twice_complete_a_profile(cache: ProfileCache, tmp_path: Path) -> None:
    profile = profile_with(CODEBOOK)
    assert cache.offer(profile) is None
    assert cache.missing == (sha256_of(CODEBOOK),)
    first, second, third = chunks_of(CODEBOOK)
    assert [cache.add(chunk) for chunk in (third, first, third)] == [None, None, None]
    assert cache.add(second) == profile
    assert not cache.missing
    cache.keep(profile)
    again = ProfileCache(tmp_path / "profile", STATION)
    assert again.load() == profile
    assert again.asset(sha256_of(CODEBOOK)) == CODEBOOK


def test_the_profile_before_stays_until_the_next_is_complete(cache: ProfileCache) -> None:
    cache.keep(profile_with())
    cache.offer(profile_with(CODEBOOK))
    assert cache.load() == profile_with()


def test_chunks_nobody_asked_for_are_ignored(cache: ProfileCache, tmp_path: Path) -> None:
    assert cache.add(chunks_of(CODEBOOK)[0]) is None
    assert not (tmp_path / "profile").exists()


def test_a_chunk_that_does_not_fit_is_unreadable(cache: ProfileCache) -> None:
    cache.offer(profile_with(CODEBOOK))
    digest = sha256_of(CODEBOOK)
    for wrong in (
        AssetChunk(sha256=digest, size=1, offset=0, data=b"x"),
        AssetChunk(sha256=digest, size=len(CODEBOOK), offset=5, data=b"x"),
        AssetChunk(sha256=digest, size=len(CODEBOOK), offset=2**62, data=b"x"),
    ):
        with pytest.raises(UnreadableError, match="does not fit"):
            cache.add(wrong)


def test_an_asset_that_hashes_wrong_is_asked_for_again(cache: ProfileCache) -> None:
    profile = profile_with(b"codebook")
    cache.offer(profile)
    wrong = AssetChunk(sha256=sha256_of(b"codebook"), size=8, offset=0, data=b"c0debook")
    with pytest.raises(UnreadableError, match="does not hash"):
        cache.add(wrong)
    assert cache.missing == (sha256_of(b"codebook"),)
    assert cache.add(chunks_of(b"codebook")[0]) == profile


def test_an_asset_over_the_limit_is_refused(tmp_path: Path) -> None:
    cache = ProfileCache(tmp_path, STATION, max_asset_bytes=10)
    with pytest.raises(UnreadableError, match="over the limit of 10"):
        cache.offer(profile_with(CODEBOOK))


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "other"])
def test_a_damaged_cache_is_ignored_and_said(
    cache: ProfileCache, tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    cache.keep(profile_with())
    file = tmp_path / "profile" / "profile.msgpack"
    whole = file.read_bytes()
    other = sealed(Profile(station="plant/line1/cam2", input_size=(32, 32), ladder=profile_with().ladder))
    flipped = whole.replace(b"png", b"raw")
    file.write_bytes({"empty": b"", "cut": whole[:-9], "flipped": flipped, "other": pack(other)}[damage])
    with caplog.at_level(logging.WARNING):
        assert cache.load() is None
    assert f"cached profile {file} is damaged, ignored" in caplog.text


def test_a_damaged_asset_makes_its_profile_absent(
    cache: ProfileCache, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache.offer(profile_with(b"codebook"))
    cache.add(chunks_of(b"codebook")[0])
    cache.keep(profile_with(b"codebook"))
    (tmp_path / "profile" / "assets" / sha256_of(b"codebook")).write_bytes(b"c0debook")
    assert cache.load() is None
    assert "missing or damaged" in caplog.text
    with pytest.raises(UnavailableError, match="damaged on this disk"):
        cache.asset(sha256_of(b"codebook"))


def test_a_disk_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UnavailableError, match="cannot be written"):
        ProfileCache(tmp_path / "file", STATION).keep(profile_with())


def test_another_stations_profile_is_unreadable() -> None:
    with pytest.raises(UnreadableError, match="not plant/line2/cam1"):
        read_profile(pack(profile_with()), "plant/line2/cam1")


def test_assets_of_earlier_profiles_are_deleted_oldest_first_once_they_are_over_the_budget(tmp_path: Path) -> None:
    cache = ProfileCache(tmp_path, STATION, budget_bytes=2000)
    contents = [bytes([number]) * 1000 for number in range(5)]
    for number, content in enumerate(contents):
        profile = profile_with(content)
        cache.offer(profile)
        assert cache.add(chunks_of(content)[0]) == profile
        os.utime(tmp_path / "assets" / sha256_of(content), (number, number))
        cache.keep(profile)
    kept = {path.name for path in (tmp_path / "assets").iterdir()}
    assert kept == {sha256_of(content) for content in contents[2:]}


def test_the_assets_in_use_and_those_that_are_wanted_stay_whatever_the_budget(tmp_path: Path) -> None:
    cache = ProfileCache(tmp_path, STATION, budget_bytes=0)
    used, wanted = profile_with(b"used"), profile_with(b"fetched", b"not yet")
    cache.offer(used)
    cache.add(chunks_of(b"used")[0])
    cache.offer(wanted)
    cache.add(chunks_of(b"fetched")[0])
    cache.keep(used)
    assert cache.asset(sha256_of(b"used")) == b"used"
    assert cache.asset(sha256_of(b"fetched")) == b"fetched"


def test_a_whole_asset_that_the_disk_did_not_take_is_written_by_the_next_attempt(tmp_path: Path) -> None:
    cache, profile = ProfileCache(tmp_path / "profile", STATION), profile_with(CODEBOOK)
    cache.offer(profile)
    first, second, third = chunks_of(CODEBOOK)
    cache.add(first)
    cache.add(second)
    (tmp_path / "profile").write_bytes(b"a file in the place of the folder")
    with pytest.raises(UnavailableError):
        cache.add(third)
    (tmp_path / "profile").unlink()
    assert cache.add(third) == profile


def test_a_profile_that_is_signed_later_is_kept_with_its_signature(tmp_path: Path) -> None:
    cache, unsigned = ProfileCache(tmp_path, STATION), profile_with()
    cache.keep(unsigned)
    signed = msgspec.structs.replace(unsigned, signature=b"s" * 64)
    cache.keep(signed)
    assert ProfileCache(tmp_path, STATION).load() == signed
