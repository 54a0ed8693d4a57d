from itertools import product
from math import ceil, exp, log, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from patchline.bench.detectors.ablation import ABLATION, PAPER
from patchline.vision.detectors.fapm import Fapm
from patchline.vision.detectors.fapm_cells import split
from patchline.vision.detectors.fapm_layer import sample, spread
from patchline.vision.detectors.fapm_memory import CellMemory
from patchline.vision.detectors.patchcore import PatchCore
from patchline.vision.detectors.protocol import PatchScores
from patchline.vision.detectors.scoring import picture_scores
from patchline.vision.pixels.arrays import FeatureMaps
from patchline.wire.errors import MisconfiguredError

Array = NDArray[Any]


def pictures(count: int, seed: int, sizes: tuple[tuple[int, int], ...] = ((12, 8), (6, 4))) -> FeatureMaps:
    rng, common = np.random.default_rng(seed), np.random.default_rng(5)
    return {
        f"layer{index}": (
            2 * common.standard_normal((channels, *size)) + rng.standard_normal((count, channels, *size))
        ).astype(np.float32)
        for index, (channels, size) in enumerate(zip((5, 9, 6), sizes, strict=False))
    }


def fit(maps: FeatureMaps, **parameters: Any) -> Fapm:
    return Fapm.fit([maps], seed=3, **{"cells": [3, 2], **parameters})


def scores(detector: Fapm, maps: FeatureMaps) -> PatchScores:
    return detector.search(detector.embed(maps))


def banks_of(detector: Fapm, layer: int) -> tuple[list[Array], tuple[int, ...]]:
    tensors = detector.tensors()
    lengths = tensors[f"lengths.{layer}"]
    bank = tensors[f"bank.{layer}"].astype(np.float64)
    return np.split(bank, np.cumsum(lengths)[:-1]), lengths.shape


def memory_of(banks: list[Array], cells: tuple[int, int]) -> CellMemory:
    return CellMemory(np.concatenate(banks), np.array([len(bank) for bank in banks]).reshape(cells))


def pooled(feature_map: Array) -> Array:
    """3x3 means of `(C, h, w)` with zeros outside, pixel by pixel, channels last."""
    channels, height, width = feature_map.shape
    out = np.zeros((height, width, channels))
    for row, column, down, across in product(range(height), range(width), (-1, 0, 1), (-1, 0, 1)):
        if 0 <= row + down < height and 0 <= column + across < width:
            out[row, column] += feature_map[:, row + down, column + across].astype(np.float64) / 9
    return out


def plain(detector: Fapm, maps: FeatureMaps, picture: int, weights: tuple[float, ...]) -> Any:
    """Section 2.3 in loops over patches, in float64: the united patch scores and the picture's score."""
    k = 4
    finest = (0, 0)
    layers, image = [], 0.0
    for index, array in enumerate(maps.values()):
        patches = pooled(array[picture])
        rows, columns = patches.shape[:2]
        finest = max(finest, (rows, columns))
        banks, cells = banks_of(detector, index)
        nearest = np.zeros((rows, columns))
        best, neighbours = -1.0, [0.0]
        for row, column in product(range(rows), range(columns)):
            cell = (row * cells[0] // rows, column * cells[1] // columns)
            found = sorted(
                sqrt(((vector - patches[row, column]) ** 2).sum()) for vector in banks[cell[0] * cells[1] + cell[1]]
            )
            nearest[row, column] = found[0]
            if found[0] > best:
                best, neighbours = found[0], found[:k] + [found[:k][-1]] * (k - len(found[:k]))
        powers = [exp(distance) for distance in neighbours]
        image += weights[index] * best * (1 - max(powers) / sum(powers))
        layers.append(nearest)
    united = np.zeros(finest)
    for row, column in product(range(finest[0]), range(finest[1])):
        for weight, nearest in zip(weights, layers, strict=True):
            united[row, column] += (
                weight * nearest[row * nearest.shape[0] // finest[0], column * nearest.shape[1] // finest[1]]
            )
    return united, image


@pytest.mark.parametrize("sizes", [((12, 8), (6, 4)), ((13, 7), (5, 3)), ((8, 20), (4, 10)), ((2, 9), (1, 1))])
@pytest.mark.parametrize("coreset_ratio", [0.1, 0.4])
def test_scores_are_those_of_plain_loops(sizes: tuple[tuple[int, int], ...], coreset_ratio: float) -> None:
    settings: dict[str, Any] = {"coreset_ratio": coreset_ratio, "grid": list(sizes[0])}
    detector = fit(pictures(6, 1, sizes), layer_weights=[1.0, 0.5], **settings)
    maps = pictures(2, 2, sizes)
    found = scores(detector, maps)
    for picture in range(2):
        united, image = plain(detector, maps, picture, (1.0, 0.5))
        np.testing.assert_allclose(found.patch[picture], united, rtol=1e-5, atol=1e-5)
        assert found.image[picture] == pytest.approx(image, rel=1e-4)


@given(
    grid=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    cells=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    seed=st.integers(0, 2**16),
)
def test_no_padding_ever_wins_whatever_the_lengths_of_the_banks(
    grid: tuple[int, int], cells: tuple[int, int], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    banks = [
        (100 + rng.standard_normal((rng.integers(1, 9), 3))).astype(np.float32) for _ in range(cells[0] * cells[1])
    ]
    embeddings = (100 + rng.standard_normal((2, *grid, 3))).astype(np.float32)
    memory = memory_of(banks, cells)
    found = memory.nearest(embeddings)
    for picture, row, column in product(range(2), range(grid[0]), range(grid[1])):
        down, across = row * cells[0] // grid[0], column * cells[1] // grid[1]
        near = banks[down * cells[1] + across].astype(np.float64)
        vector = embeddings[picture, row, column]
        expected = np.sort(np.linalg.norm(near - vector, axis=1))
        assert found[picture, row, column] == pytest.approx(expected[0], rel=1e-3, abs=1e-4)
        around = memory.neighbours(vector[None], np.array([row * grid[1] + column]), grid, 4)[0]
        near_by = np.pad(expected[:4], (0, max(0, 4 - len(expected))), mode="edge")
        np.testing.assert_allclose(around, near_by, rtol=1e-3, atol=1e-4)


def test_many_patches_are_searched_in_blocks_with_the_same_result() -> None:
    rng = np.random.default_rng(0)
    bank = rng.standard_normal((5000, 4)).astype(np.float32)
    embeddings = rng.standard_normal((1, 30, 30, 4)).astype(np.float32)
    expected = np.linalg.norm(embeddings.reshape(-1, 1, 4)[::97] - bank, axis=2).min(axis=1)
    found = memory_of([bank], (1, 1)).nearest(embeddings).ravel()
    np.testing.assert_allclose(found[::97], expected, rtol=1e-4)


def test_a_long_bank_beside_short_ones_is_searched_with_them() -> None:
    rng = np.random.default_rng(1)
    banks = [rng.standard_normal((count, 7)).astype(np.float32) for count in (30, 2900, 31, 900)]
    embeddings = rng.standard_normal((3, 8, 6, 7)).astype(np.float32)
    found = memory_of(banks, (2, 2)).nearest(embeddings)
    for index, bank in enumerate(banks):
        own = np.s_[:, 4 * (index // 2) : 4 * (index // 2) + 4, 3 * (index % 2) : 3 * (index % 2) + 3]
        expected = np.linalg.norm(embeddings[own][..., None, :] - bank, axis=-1).min(axis=-1)
        np.testing.assert_allclose(found[own], expected, rtol=1e-5)


def test_a_batch_of_no_picture_has_no_scores() -> None:
    detector = fit(pictures(3, 1))
    nothing = scores(detector, {tap: array[:0] for tap, array in pictures(1, 2).items()})
    assert nothing.patch.shape == (0, 12, 8)
    assert nothing.image.shape == (0,)


def test_every_patch_is_in_the_cell_that_search_compares_it_with() -> None:
    grid, cells = (10, 7), (4, 3)
    positions = np.stack(np.meshgrid(np.arange(10.0), np.arange(7.0), indexing="ij"), axis=-1).astype(np.float32)
    groups = split(positions[None], cells)
    assert sum(map(len, groups)) == 70
    assert (memory_of(groups, cells).nearest(positions[None]) == 0).all()
    for index, group in enumerate(groups):
        for row, column in group:
            assert index == int(row) * cells[0] // grid[0] * cells[1] + int(column) * cells[1] // grid[1]


def test_equation_1_is_as_printed_and_cannot_overflow() -> None:
    for radius in (0.0, 0.3, 1.0, 1.7, 5.0):
        assert spread(radius) == pytest.approx(1 - 2 / (1 + exp(radius**2)))
    assert spread(sqrt(log(3))) == pytest.approx(0.5)
    assert spread(1e6) == 1.0


def greedy(vectors: Array, count: int, first: int) -> list[int]:
    chosen = [first]
    while len(chosen) < count:
        distances = [min(((vector - vectors[c]) ** 2).sum() for c in chosen) for vector in vectors]
        chosen.append(int(np.argmax(distances)))
    return sorted(chosen)


@pytest.mark.parametrize(("adaptive", "expected"), [("off", []), ("absolute", [1, 2, 3])])
def test_cells_that_lie_wide_apart_are_sampled_again_at_twice_the_ratio(adaptive: Any, expected: list[int]) -> None:
    rng = np.random.default_rng(4)
    cells = [(width * rng.uniform(-1, 1, (40, 3))).astype(np.float32) for width in (0.3, 2.0, 2.0, 4.0, 0.3)]
    found = sample(cells, ratio=0.1, adaptive=adaptive, threshold=0.8, seed=6, projection_dimensions=None)
    once = sample(cells, ratio=0.1, adaptive="off", threshold=0.8, seed=6, projection_dimensions=None)
    assert np.flatnonzero(found.doubled).tolist() == expected
    first = int(np.random.default_rng(6).integers(40))
    radii = []
    for cell, vectors in enumerate(cells):
        exact = vectors.astype(np.float64)
        count = 8 if cell in expected else 4
        np.testing.assert_array_equal(found.banks[cell], vectors[greedy(exact, count, first)])
        differences = exact[:, None] - once.banks[cell]
        radii.append(np.linalg.norm(differences, axis=2).min(axis=1).max())
    spreads = [1 - 2 / (1 + exp(radius**2)) for radius in radii]
    if adaptive != "off":
        assert [cell for cell, value in enumerate(spreads) if value > 0.8] == expected


def test_the_share_of_cells_doubled_is_told_and_kept() -> None:
    maps = pictures(6, 1)
    maps["layer0"][:] *= 100
    maps["layer1"][:] *= 0.01
    detector = fit(maps)
    assert detector.share_doubled == (1.0, 0.0)
    assert detector.facts() == {
        "share_doubled.0": 1.0,
        "vectors_per_cell.0": ceil(0.2 * 6 * 16),
        "share_doubled.1": 0.0,
        "vectors_per_cell.1": ceil(0.1 * 6 * 4),
    }
    assert Fapm.restore(detector.tensors(), detector.parameters).share_doubled == (1.0, 0.0)
    assert fit(maps, adaptive="off").share_doubled == (0.0, 0.0)
    assert len(banks_of(detector, 0)[0][0]) == ceil(0.2 * 6 * 16)
    assert len(banks_of(detector, 1)[0][0]) == ceil(0.1 * 6 * 4)


@pytest.mark.parametrize(
    ("row", "layers", "cells"),
    [("A", 1, (1, 1)), ("B", 1, (3, 2)), ("C", 2, (1, 1)), ("D", 2, (3, 2)), ("E", 2, (3, 2))],
)
def test_the_ablation_of_table_2_can_be_run(row: str, layers: int, cells: tuple[int, int]) -> None:
    detector = fit(pictures(6, 1), **ABLATION[row])
    assert sum(name.startswith("bank") for name in detector.tensors()) == layers
    assert banks_of(detector, 0)[1] == cells
    assert scores(detector, pictures(1, 2)).patch.shape == (1, 12, 8)
    assert (max(detector.share_doubled) > 0) == (row == "E")


def test_the_rows_of_table_2_differ_as_its_ticks_do() -> None:
    ticks = {row: (p["patch_wise"], p["layer_wise"], p["adaptive"] != "off") for row, p in ABLATION.items()}
    assert ticks == {
        "A": (False, False, False),
        "B": (True, False, False),
        "C": (False, True, False),
        "D": (True, True, False),
        "E": (True, True, True),
    }
    assert PAPER.keys() == ABLATION.keys()
    assert fit(pictures(6, 1), **ABLATION["E"]).parameters == fit(pictures(6, 1)).parameters


def test_without_all_that_is_its_own_it_is_patchcore() -> None:
    train, maps = pictures(6, 1), pictures(3, 2)
    detector = fit(train, **ABLATION["A"], neighbours=0)
    patchcore = PatchCore.fit([train], seed=3, neighbours=0)
    np.testing.assert_array_equal(detector.tensors()["bank.0"], patchcore.tensors()["bank"])
    expected = patchcore.search(patchcore.embed(maps))
    np.testing.assert_allclose(scores(detector, maps).patch, expected.patch, rtol=1e-5)
    np.testing.assert_allclose(scores(detector, maps).image, expected.image, rtol=1e-5)


def test_layers_finer_than_the_grid_are_averaged_down_to_it() -> None:
    detector = fit(pictures(6, 1), grid=[6, 4])
    maps = pictures(1, 2)
    embedded = detector.embed(maps)
    blocks = pooled(maps["layer0"][0]).reshape(6, 2, 4, 2, 5).mean(axis=(1, 3))
    np.testing.assert_allclose(embedded["layer0"][0], blocks, rtol=1e-5, atol=1e-6)
    assert embedded["layer1"].shape == (1, 6, 4, 9)
    assert scores(detector, maps).patch.shape == (1, 6, 4)


@pytest.mark.parametrize("score", ["peak", "top", "contrast"])
def test_a_score_of_our_own_is_that_of_the_united_patches(score: Any) -> None:
    detector = fit(pictures(3, 1), score=score)
    found = scores(detector, pictures(2, 2))
    np.testing.assert_array_equal(found.image, picture_scores(found.patch, score))
    np.testing.assert_array_equal(found.patch, scores(fit(pictures(3, 1)), pictures(2, 2)).patch)


@pytest.mark.parametrize(
    ("sizes", "grid", "cells"),
    [
        (((28, 28), (14, 14)), [28, 28], [7, 7]),
        (((56, 56), (28, 28), (14, 14)), [28, 28], [7, 7]),
        (((80, 32), (40, 16)), [80, 32], [20, 8]),
        (((14, 19), (14, 19)), [14, 19], [4, 5]),
        (((2, 1), (1, 1)), [2, 1], [1, 1]),
    ],
)
def test_cells_go_by_the_size_of_the_picture(
    sizes: tuple[tuple[int, int], ...], grid: list[int], cells: list[int]
) -> None:
    detector = Fapm.fit([pictures(2, 1, sizes)], seed=3)
    assert (list(detector.parameters["grid"]), list(detector.parameters["cells"])) == (grid, cells)  # type: ignore[arg-type]
    assert banks_of(detector, 0)[1] == tuple(cells)
    found = scores(detector, pictures(1, 2, sizes))
    assert found.patch.shape == (1, *grid)
    assert detector.render(found, (8 * grid[0], 8 * grid[1])).maps.shape == (1, 8 * grid[0], 8 * grid[1])


def test_a_cell_of_one_vector_still_gives_a_score() -> None:
    detector = fit(pictures(1, 1), coreset_ratio=0.01, adaptive="off")
    tensors = detector.tensors()
    assert tensors["lengths.0"].max() == tensors["lengths.1"].max() == 1
    maps = pictures(1, 2)
    by_layer = [
        scores(fit(pictures(1, 1), coreset_ratio=0.01, adaptive="off", neighbours=0, layer_weights=weights), maps)
        for weights in ([1.0, 0.0], [0.0, 1.0])
    ]
    expected = 0.75 * (by_layer[0].image + by_layer[1].image)
    np.testing.assert_allclose(scores(detector, maps).image, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"neighbours": 1}, "every score zero"),
        ({"layer_weights": [1.0]}, "1 weights for 2 layers"),
        ({"cells": [0, 7]}, "cells"),
        ({"adaptive": "sometimes"}, "adaptive"),
        ({"whitening": "full"}, "no parameter 'whitening'"),
    ],
)
def test_parameters_that_cannot_be_are_refused(parameters: dict[str, Any], match: str) -> None:
    with pytest.raises(MisconfiguredError, match=match):
        fit(pictures(2, 1), **parameters)


@pytest.mark.parametrize("name", ["weights", "bank.1", "lengths.0", "doubled.1"])
@pytest.mark.parametrize("harm", ["missing", "another kind", "another shape"])
def test_tensors_that_do_not_fit_are_refused(name: str, harm: str) -> None:
    detector = fit(pictures(2, 1))
    tensors = detector.tensors()
    harmed = {
        "missing": {key: value for key, value in tensors.items() if key != name},
        "another kind": tensors | {name: tensors[name].astype(np.complex64)},
        "another shape": tensors | {name: tensors[name][:-1][..., None]},
    }
    with pytest.raises(MisconfiguredError, match=name):
        Fapm.restore(harmed[harm], detector.parameters)


def test_banks_that_are_not_numbers_or_do_not_add_up_are_refused() -> None:
    detector = fit(pictures(2, 1))
    tensors = detector.tensors()
    for name, value in (("bank.0", np.nan), ("weights", np.inf), ("lengths.0", 0)):
        harmed = tensors[name].copy()
        harmed.flat[0] = value
        with pytest.raises(MisconfiguredError, match="commission"):
            Fapm.restore(tensors | {name: harmed}, detector.parameters)
