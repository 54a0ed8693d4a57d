"""Product quantisation: codes are packed, the nearest is found, and OPQ loses less."""

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchline.vision.codecs.features.quantised import pack_bits, packed_bytes, unpack_bits
from patchline.vision.codecs.features.subspaces import (
    SubspaceQuantiser,
    columns_of,
    cut,
    learn_codebooks,
    learn_rotation,
)
from patchline.vision.pixels.arrays import Floats
from patchline.wire.errors import MisconfiguredError


def correlated(count: int, length: int) -> Floats:
    """Vectors most of whose variance lies in a few directions that no axis has."""
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((length, length)) * np.geomspace(8, 0.05, length)[:, np.newaxis]
    return (rng.standard_normal((count, length)) @ mixing + 3).astype(np.float32)


def loss(vectors: Floats, spaces: int, bits: int) -> float:
    quantiser = SubspaceQuantiser(learn_codebooks(vectors, spaces, bits, seed=0), vectors.shape[1])
    return float(np.square(quantiser.vectors(quantiser.codes(vectors)) - vectors).mean())


@given(bits=st.integers(1, 8), data=st.data())
def test_codes_come_back_from_as_few_bytes_as_their_bits_fill(bits: int, data: st.DataObject) -> None:
    codes = np.array(data.draw(st.lists(st.integers(0, 2**bits - 1), max_size=60)), dtype=np.uint8)
    body = pack_bits(codes, bits)
    assert len(body) == packed_bytes(len(codes), bits) == -(-len(codes) * bits // 8)
    assert np.array_equal(unpack_bits(body, len(codes), bits), codes)


@given(length=st.integers(1, 200), data=st.data())
def test_sub_spaces_hold_every_value_once_and_differ_in_width_by_one_at_most(length: int, data: st.DataObject) -> None:
    spaces = data.draw(st.integers(1, length))
    columns = columns_of(length, spaces)
    held = columns[columns < length]
    assert np.array_equal(held, np.arange(length))
    widths = (columns < length).sum(axis=1)
    assert widths.max() - widths.min() <= 1


@pytest.mark.parametrize("spaces", [1, 3, 4, 10])
def test_a_code_is_the_nearest_there_is(spaces: int) -> None:
    vectors = correlated(300, 10)
    books = learn_codebooks(vectors, spaces, 4, seed=0)
    codes = SubspaceQuantiser(books, 10).codes(vectors)
    for part, book, found in zip(cut(vectors, columns_of(10, spaces)), books.astype(np.float32), codes, strict=True):
        distances = np.square(part[:, np.newaxis] - book).sum(axis=2)
        np.testing.assert_allclose(distances[np.arange(300), found], distances.min(axis=1), rtol=1e-3, atol=1e-3)


def test_with_fewer_vectors_than_codes_every_vector_is_kept() -> None:
    vectors = correlated(5, 8)
    assert loss(vectors, 2, 4) < 1e-4


def test_the_same_seed_gives_the_same_codebooks_and_another_seed_others() -> None:
    vectors = correlated(500, 8)
    books = learn_codebooks(vectors, 2, 5, seed=1)
    assert np.array_equal(books, learn_codebooks(vectors, 2, 5, seed=1))
    assert not np.array_equal(books, learn_codebooks(vectors, 2, 5, seed=2))


def test_progress_is_told_after_every_sub_space() -> None:
    told: list[tuple[int, int]] = []
    learn_codebooks(correlated(40, 6), 3, 2, seed=0, on_progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("spaces", [3, 4])
def test_opq_turns_without_stretching_and_loses_less_than_half_of_what_pq_loses(spaces: int) -> None:
    vectors = correlated(2000, 12)
    rotation = learn_rotation(vectors, spaces)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(12), atol=1e-5)
    assert loss(vectors @ rotation, spaces, 4) < 0.5 * loss(vectors, spaces, 4)


def test_learning_without_faiss_names_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MisconfiguredError, match=r"patchline\[analytics\]"):
        learn_codebooks(correlated(40, 6), 3, 2, seed=0)
