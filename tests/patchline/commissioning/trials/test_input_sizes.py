"""Which input sizes are worth trying."""

from hypothesis import given
from hypothesis import strategies as st

from patchline.commissioning.trials.input_sizes import LARGEST, LONGER, SMALLEST, sizes_to_try, written

SIDES = st.integers(16, 4000)


def test_square_pictures_leave_only_larger_inputs() -> None:
    assert sizes_to_try((224, 224), [(256, 256)] * 3, 16) == ((256, 256), (320, 320))


def test_long_pictures_are_tried_in_their_own_aspect_with_as_many_pixels_and_with_more() -> None:
    assert sizes_to_try((224, 224), [(256, 640)] * 3, 16) == ((144, 352), (160, 400), (208, 512))
    assert sizes_to_try((224, 224), [(640, 256)] * 3, 32) == ((352, 128), (416, 160), (512, 192))


def test_the_aspect_in_the_middle_counts() -> None:
    assert sizes_to_try((224, 224), [(100, 100), (100, 100), (900, 100)], 16) == ((256, 256), (320, 320))


@given(st.tuples(SIDES, SIDES), st.lists(st.tuples(SIDES, SIDES), min_size=1, max_size=5), st.sampled_from([1, 8, 32]))
def test_sizes_are_multiples_of_the_stride_that_an_artifact_can_name(
    asked: tuple[int, int], stored: list[tuple[int, int]], stride: int
) -> None:
    sizes = sizes_to_try(asked, stored, stride)
    assert asked not in sizes
    assert len(set(sizes)) == len(sizes) <= len(LONGER)
    for side in (side for size in sizes for side in size):
        assert side % stride == 0
        assert SMALLEST <= side <= LARGEST


def test_a_size_is_written_as_it_is_given() -> None:
    assert written((144, 352)) == "144x352"
