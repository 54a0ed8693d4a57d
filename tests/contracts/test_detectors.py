"""What every registered detector must keep to; a new detector is tested by being registered and given its two rows."""

from typing import Any

import numpy as np
import pytest

from patchline.vision.codecs.features.sealed_codec import MARGIN, TOLERANCE
from patchline.vision.detectors import DETECTORS
from patchline.vision.detectors.protocol import Detector, PatchScores
from patchline.vision.pixels.arrays import FeatureMaps
from patchline.wire.errors import MisconfiguredError

SIZE = (112, 96)
KEEPS_EVERYTHING: dict[str, dict[str, Any]] = {"patchcore": {"coreset_ratio": 1.0}, "fapm": {"coreset_ratio": 1.0}}
"""For every detector that keeps a bank, parameters under which it keeps every patch."""
OTHER_VALUES: dict[str, dict[str, Any]] = {name: dict(kind.examples) for name, kind in DETECTORS.items()}
"""For every parameter a value that is not its default."""
REFUSED: dict[str, dict[str, Any]] = {"patchcore": {"bank_budget_mb": 0.1}}
"""Parameters whose only effect is that a fit is refused, with a value that does it."""
BESIDE: dict[tuple[str, str], dict[str, Any]] = {("padim", "seed"): {"channels": 5}}
"""What a parameter needs beside it to have an effect on maps so small."""

every_detector = pytest.mark.parametrize("kind", DETECTORS.values(), ids=DETECTORS)
every_parameter = pytest.mark.parametrize(
    ("name", "parameter"), [(name, parameter) for name, values in OTHER_VALUES.items() for parameter in values]
)


SHAPES = {"fine": (12, 14, 12), "coarse": (20, 7, 6)}
LONG_SHAPES = {"fine": (12, 40, 16), "coarse": (20, 20, 8)}


def feature_maps(pictures: int, seed: int, shapes: dict[str, tuple[int, int, int]] = SHAPES) -> FeatureMaps:
    """Maps of normal pictures: what they have in common, and noise."""
    common, noise = np.random.default_rng(99), np.random.default_rng(seed)
    return {
        tap: (3 * common.standard_normal(shape) + noise.standard_normal((pictures, *shape))).astype(np.float32)
        for tap, shape in shapes.items()
    }


def fit(kind: type[Detector], *, seed: int = 0, pictures: int = 12, **parameters: Any) -> Detector:
    maps = feature_maps(pictures, seed=1)
    half = pictures // 2
    batches = [{tap: array[:half] for tap, array in maps.items()}, {tap: array[half:] for tap, array in maps.items()}]
    return kind.fit(batches, seed=seed, **parameters)


def one(maps: FeatureMaps, index: int) -> FeatureMaps:
    return {tap: array[index : index + 1] for tap, array in maps.items()}


def scores_of(detector: Detector, maps: FeatureMaps) -> PatchScores:
    return detector.search(detector.embed(maps))


def test_every_registered_detector_has_its_rows_in_this_contract() -> None:
    assert set(OTHER_VALUES) == set(DETECTORS)
    for name, kind in DETECTORS.items():
        assert kind.name == name
        known = {*OTHER_VALUES[name], *REFUSED.get(name, ())}
        assert known == set(fit(kind).parameters)


@every_detector
def test_shapes_and_kinds_are_as_promised(kind: type[Detector]) -> None:
    detector = fit(kind)
    patch_scores = scores_of(detector, feature_maps(3, seed=2))
    rendering = detector.render(patch_scores, SIZE)
    assert patch_scores.patch.shape[0] == 3
    assert patch_scores.patch.ndim == 3
    assert patch_scores.image.shape == rendering.scores.shape == (3,)
    assert rendering.maps.shape == (3, *SIZE)
    arrays = (patch_scores.patch, patch_scores.image, rendering.maps, rendering.scores)
    assert {array.dtype for array in arrays} == {np.dtype(np.float32)}


@every_detector
def test_a_picture_scores_the_same_alone_as_in_a_batch(kind: type[Detector]) -> None:
    detector, maps = fit(kind), feature_maps(5, seed=2)
    together = detector.render(scores_of(detector, maps), SIZE)
    for index in range(5):
        alone = detector.render(scores_of(detector, one(maps, index)), SIZE)
        np.testing.assert_allclose(alone.maps[0], together.maps[index], rtol=1e-4)
        np.testing.assert_allclose(alone.scores[0], together.scores[index], rtol=1e-4)


@every_detector
def test_the_same_seed_gives_the_same_bytes(kind: type[Detector]) -> None:
    first, second = fit(kind, seed=7), fit(kind, seed=7)
    assert first.parameters == second.parameters
    assert {name: array.tobytes() for name, array in first.tensors().items()} == {
        name: array.tobytes() for name, array in second.tensors().items()
    }


@every_detector
def test_what_was_kept_and_restored_scores_the_same(kind: type[Detector]) -> None:
    detector, maps = fit(kind), feature_maps(3, seed=2)
    restored = kind.restore(detector.tensors(), detector.parameters)
    assert restored.parameters == detector.parameters
    np.testing.assert_array_equal(scores_of(restored, maps).patch, scores_of(detector, maps).patch)
    np.testing.assert_array_equal(scores_of(restored, maps).image, scores_of(detector, maps).image)


@every_detector
def test_a_planted_defect_peaks_inside_its_mask_and_scores_higher(kind: type[Detector]) -> None:
    detector, maps = fit(kind), feature_maps(1, seed=2)
    normal = detector.render(scores_of(detector, maps), SIZE)
    maps["fine"][:, :, 8:11, 2:5] += 6.0
    maps["coarse"][:, :, 4:6, 1:3] += 6.0
    defective = detector.render(scores_of(detector, maps), SIZE)
    row, column = np.unravel_index(defective.maps[0].argmax(), SIZE)
    assert 8 <= row * 14 / SIZE[0] < 11
    assert 2 <= column * 12 / SIZE[1] < 5
    assert defective.scores[0] > 1.5 * normal.scores[0]


@pytest.mark.parametrize("name", KEEPS_EVERYTHING)
def test_a_picture_whose_patches_are_all_in_the_bank_scores_zero(name: str) -> None:
    detector = fit(DETECTORS[name], **KEEPS_EVERYTHING[name])
    known = scores_of(detector, one(feature_maps(12, seed=1), 3))
    np.testing.assert_array_equal(known.patch, 0.0)
    np.testing.assert_array_equal(known.image, 0.0)


@every_detector
def test_maps_are_not_changed(kind: type[Detector]) -> None:
    detector, maps = fit(kind), feature_maps(2, seed=2)
    before = {tap: array.copy() for tap, array in maps.items()}
    patch_scores = scores_of(detector, maps)
    patches = patch_scores.patch.copy()
    detector.render(patch_scores, SIZE)
    for tap, array in maps.items():
        np.testing.assert_array_equal(array, before[tap])
    np.testing.assert_array_equal(patch_scores.patch, patches)


@every_parameter
def test_every_parameter_has_an_effect(name: str, parameter: str) -> None:
    kind, value = DETECTORS[name], OTHER_VALUES[name][parameter]
    beside = BESIDE.get((name, parameter), {})
    usual, other = fit(kind, **beside), fit(kind, **beside, **{parameter: value})
    assert usual.parameters[parameter] != other.parameters[parameter]
    maps = feature_maps(3, seed=2)
    renderings = [detector.render(scores_of(detector, maps), SIZE) for detector in (usual, other)]
    same_maps = np.array_equal(renderings[0].maps, renderings[1].maps)
    assert not (same_maps and np.array_equal(renderings[0].scores, renderings[1].scores))


@pytest.mark.parametrize(
    ("name", "parameter"), [(name, parameter) for name, values in REFUSED.items() for parameter in values]
)
def test_a_fit_beyond_its_budget_is_refused_by_the_parameters_name(name: str, parameter: str) -> None:
    with pytest.raises(MisconfiguredError, match=parameter):
        fit(DETECTORS[name], **{parameter: REFUSED[name][parameter]})


@every_detector
def test_facts_are_numbers_and_a_restored_detector_knows_no_others(kind: type[Detector]) -> None:
    detector = fit(kind)
    assert all(np.isfinite(value) for value in detector.facts().values())
    assert kind.restore(detector.tensors(), detector.parameters).facts().items() <= detector.facts().items()


@every_detector
@pytest.mark.parametrize("pictures", [1, 2, 3, 5])
def test_a_few_pictures_are_enough_to_find_a_defect(kind: type[Detector], pictures: int) -> None:
    detector = kind.fit([feature_maps(pictures, seed=1)], seed=0)
    maps = feature_maps(3, seed=2)
    maps["fine"][1, :, 5:8, 5:8] += 8.0
    maps["coarse"][1, :, 3, 3] += 8.0
    scores = scores_of(detector, maps)
    assert np.isfinite(scores.patch).all()
    assert scores.image.argmax() == 1


@every_detector
def test_a_long_picture_is_searched_like_any_other(kind: type[Detector]) -> None:
    detector = kind.fit([feature_maps(6, seed=1, shapes=LONG_SHAPES)], seed=0)
    maps = feature_maps(1, seed=2, shapes=LONG_SHAPES)
    maps["fine"][:, :, 30:33, 3:6] += 8.0
    maps["coarse"][:, :, 15:17, 1:3] += 8.0
    rendering = detector.render(scores_of(detector, maps), (320, 128))
    assert rendering.maps.shape == (1, 320, 128)
    row, column = np.unravel_index(rendering.maps[0].argmax(), (320, 128))
    assert 30 <= row / 8 < 33
    assert 3 <= column / 8 < 6


@every_detector
def test_progress_ends_where_it_said_it_would(kind: type[Detector]) -> None:
    reports: list[tuple[int, int]] = []
    kind.fit([feature_maps(4, seed=1)], seed=0, on_progress=lambda done, total: reports.append((done, total)))
    assert reports[-1][0] == reports[-1][1]
    assert [done for done, _ in reports] == sorted(done for done, _ in reports)


@every_detector
def test_no_pictures_are_refused(kind: type[Detector]) -> None:
    with pytest.raises(MisconfiguredError, match="no normal picture"):
        kind.fit([], seed=0)


@every_detector
def test_an_unknown_parameter_is_refused_and_the_known_ones_named(kind: type[Detector]) -> None:
    with pytest.raises(MisconfiguredError, match=r"no parameter 'sharpness'.*sigma"):
        fit(kind, sharpness=3)


@every_detector
def test_maps_of_another_backbone_are_refused(kind: type[Detector]) -> None:
    detector, maps = fit(kind), feature_maps(1, seed=2)
    with pytest.raises(MisconfiguredError, match="channels"):
        detector.embed({"fine": maps["fine"]})


@every_detector
def test_an_artifact_without_its_tensors_is_refused(kind: type[Detector]) -> None:
    with pytest.raises(MisconfiguredError):
        kind.restore({}, fit(kind).parameters)


@every_detector
@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_values_that_a_feature_codec_lets_through_have_finite_scores(
    kind: type[Detector], sign: int
) -> None:
    detector, maps = fit(kind), feature_maps(1, seed=2)
    bound = sign * MARGIN * TOLERANCE * max(float(np.abs(array).max()) for array in maps.values())
    extreme = {tap: np.full_like(array, bound) for tap, array in maps.items()}
    rendering = detector.render(scores_of(detector, extreme), SIZE)
    assert np.isfinite(rendering.maps).all()
    assert np.isfinite(rendering.scores).all()
    assert rendering.scores[0] > detector.render(scores_of(detector, maps), SIZE).scores[0]
