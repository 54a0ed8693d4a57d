"""The drawn line of the edge node is the drawn line of the ledger."""

import numpy as np

from edge_node.capture.sources.protocol import SourceContext
from edge_node.capture.sources.synthetic import SyntheticSettings, SyntheticSource
from edge_node.capture.takt import trigger_now
from patchline.pictures.products import PRODUCTS
from patchline.pictures.products.line import Line


def test_a_synthetic_part_is_the_part_of_its_line_so_that_its_truth_is_known() -> None:
    line = Line(PRODUCTS["weave"], 5, 0.5, (48, 48), (0.2, 0.3), (0.9, 1.0))
    settings = SyntheticSettings(
        kind="synthetic",
        product="weave",
        size=(48, 48),
        seed=5,
        parts=6,
        defect_share=0.5,
        defect_sizes=(0.2, 0.3),
        defect_contrasts=(0.9, 1.0),
    )
    source = SyntheticSource(settings, SourceContext())
    for number in range(6):
        shot = source.at(trigger_now(None))
        assert shot is not None
        np.testing.assert_array_equal(shot.open(), line.part(number).pixels)
    assert source.at(trigger_now(None)) is None
    assert {line.label_of(number) for number in range(6)} > {"good"}


def test_sizes_and_contrasts_of_defects_change_the_picture() -> None:
    def defective(**choices: tuple[float, float]) -> np.ndarray:
        return Line(PRODUCTS["washer"], 1, 1.0, (64, 64), **choices).part_with(0, "stain").pixels

    usual = defective()
    assert not np.array_equal(usual, defective(defect_sizes=(0.4, 0.4)))
    assert not np.array_equal(usual, defective(defect_contrasts=(0.3, 0.3)))
