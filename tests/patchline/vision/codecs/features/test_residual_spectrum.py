import numpy as np
import pytest

from patchline.vision.codecs.features.form import values_of
from patchline.vision.codecs.features.protocol import Shapes
from patchline.vision.codecs.features.residual.edge_transform import EdgeTransform
from patchline.vision.codecs.features.residual.fitting import usual_sizes
from patchline.vision.codecs.features.residual.order import GROUP, QUAD, RARE_BELOW, bits_of, masks_of, order_at
from patchline.vision.codecs.features.residual.spectrum import Decorrelation, Spectrum, principal_axes
from patchline.vision.codecs.features.residual.tables import CLASSES, classes_of
from patchline.vision.nearest.embedding import concatenate
from patchline.vision.pixels.arrays import FeatureMaps

EVERY_SHAPES: list[Shapes] = [
    {"fine": (6, 28, 28), "coarse": (10, 14, 14)},
    {"fine": (4, 40, 16), "middle": (5, 20, 8), "coarse": (7, 5, 2)},
    {"tall": (3, 9, 1)},
    {"a": (2, 5, 3), "b": (2, 3, 5)},
]
every_shapes = pytest.mark.parametrize("shapes", EVERY_SHAPES)


def noise(shapes: Shapes, pictures: int, seed: int = 0) -> FeatureMaps:
    rng = np.random.default_rng(seed)
    return {tap: rng.standard_normal((pictures, *shape), dtype=np.float32) for tap, shape in shapes.items()}


@every_shapes
def test_maps_come_back_from_their_coefficients(shapes: Shapes) -> None:
    maps, spectrum = noise(shapes, 3), Spectrum(shapes)
    coefficients = spectrum.forward(maps)
    axes = principal_axes(spectrum.bands, coefficients)
    decorrelation = Decorrelation(spectrum.bands, axes)
    turned = decorrelation.forward(coefficients)
    assert turned.shape == (3, values_of(shapes)) == (3, spectrum.size)
    for picture in range(3):
        back = spectrum.backward(decorrelation.backward(turned[picture]))
        for tap, array in back.items():
            np.testing.assert_allclose(array, maps[tap][picture], atol=1e-4)


@every_shapes
def test_the_edge_finds_the_coefficients_that_the_transform_defines(shapes: Shapes) -> None:
    maps, means, spectrum = noise(shapes, 1, seed=1), noise(shapes, 1, seed=2), Spectrum(shapes)
    axes = principal_axes(spectrum.bands, spectrum.forward(noise(shapes, 3)))
    departures = {tap: array - means[tap] for tap, array in maps.items()}
    expected = Decorrelation(spectrum.bands, axes).forward(spectrum.forward(departures))[0]
    transform = EdgeTransform(spectrum, axes, {tap: array[0] for tap, array in means.items()})
    found = transform({tap: array[0] for tap, array in maps.items()})
    np.testing.assert_allclose(found[transform.order], expected, atol=2e-5)


@every_shapes
def test_every_coefficient_is_in_one_band(shapes: Shapes) -> None:
    places = np.concatenate([band.places.ravel() for band in Spectrum(shapes).bands])
    np.testing.assert_array_equal(np.sort(places), np.arange(values_of(shapes)))


def test_coefficients_measure_what_a_detector_sees_of_a_difference() -> None:
    shapes = EVERY_SHAPES[0]
    maps = {
        tap: (array.cumsum(axis=2).cumsum(axis=3) / 50).astype(np.float32) for tap, array in noise(shapes, 4).items()
    }
    seen = np.square(concatenate(maps, pool=True)).sum(axis=(1, 2, 3))
    measured = np.square(Spectrum(shapes).forward(maps)).sum(axis=1)
    np.testing.assert_allclose(measured, seen, rtol=0.2)


def test_channels_are_uncorrelated_after_the_turn_and_the_strongest_comes_first() -> None:
    shapes: Shapes = {"one": (4, 16, 16)}
    rng = np.random.default_rng(1)
    mixed = np.einsum("dc,nchw->ndhw", rng.standard_normal((4, 4)), noise(shapes, 20)["one"]).astype(np.float32)
    spectrum = Spectrum(shapes)
    coefficients = spectrum.forward({"one": mixed})
    turned = Decorrelation(spectrum.bands, principal_axes(spectrum.bands, coefficients)).forward(coefficients)
    last = spectrum.bands[-1].places
    vectors = turned[:, -last.size :].reshape(20, *last.shape).transpose(1, 0, 2).reshape(4, -1)
    correlation = np.corrcoef(vectors)
    assert np.abs(correlation - np.eye(4)).max() < 0.1
    variances = vectors.var(axis=1)
    assert (np.diff(variances) < 0).all()


def test_few_pictures_are_eased_towards_what_channels_and_frequencies_say_together() -> None:
    spectrum = Spectrum({"one": (4, 16, 16)})
    coefficients = np.random.default_rng(2).standard_normal((2, spectrum.size), dtype=np.float32)
    raw = np.sqrt(np.square(coefficients).mean(axis=0))
    eased = usual_sizes(spectrum.bands, coefficients)
    assert eased.std() < 0.6 * raw.std()
    assert np.sqrt(np.square(eased).mean()) == pytest.approx(np.sqrt(np.square(raw).mean()), rel=0.01)


@pytest.mark.parametrize("level", [0, 1, 7, 64, 255])
def test_every_coefficient_is_sent_once_or_in_one_group_at_every_level(level: int) -> None:
    rng = np.random.default_rng(3)
    classes, bands = (
        rng.integers(0, CLASSES, 1003).astype(np.uint8),
        np.repeat(np.arange(3, dtype=np.uint8), [500, 500, 3]),
    )
    order = order_at(level, classes, bands)
    filled = order.places[order.places < len(classes)]
    np.testing.assert_array_equal(np.sort(filled), np.arange(1003))
    np.testing.assert_array_equal(order.places[order.positions], np.arange(1003))
    assert len(order.places) - 1003 < QUAD + QUAD * GROUP
    lowered = np.maximum(classes.astype(int) - level, 0)
    common = order.places[: order.common * QUAD]
    assert (lowered[common[common < 1003]] >= RARE_BELOW).all()
    first = order.places[: order.common * QUAD : QUAD]
    np.testing.assert_array_equal(order.keys[: order.common], bands[first].astype(int) * CLASSES + lowered[first])
    departing = np.zeros(len(order.places), np.bool_)
    departing[order.positions[rng.choice(1003, 40, replace=False)]] = True
    flag_masks, masks, flags = order.quads(departing)
    np.testing.assert_array_equal(order.flags(flag_masks), flags)
    np.testing.assert_array_equal(order.departing(masks, flags), np.flatnonzero(departing))
    assert len(order.sent_keys(flags)) == len(masks)
    assert len(order.flag_keys) == len(flag_masks)


def test_four_bits_are_a_mask_and_back() -> None:
    bits = np.random.default_rng(1).random(400) < 0.4
    np.testing.assert_array_equal(bits_of(masks_of(bits)).ravel(), bits)
    np.testing.assert_array_equal(masks_of(bits), bits.reshape(-1, 4) @ [1, 2, 4, 8])


def test_a_level_of_the_step_is_a_class() -> None:
    sizes = np.geomspace(0.01, 60, 50)
    coarser = classes_of(sizes, 2 ** (5 / 6))
    np.testing.assert_array_equal(coarser, np.maximum(classes_of(sizes, 1.0).astype(int) - 5, 0))
