"""Drawn categories: a folder of pictures with truth, laid out as MVTec's are."""

from collections.abc import Callable, Iterator
from pathlib import Path

from PIL import Image

from patchline.pictures.files import GOOD
from patchline.pictures.products.line import Line
from patchline.pictures.products.protocol import Product
from patchline.wire.errors import MisconfiguredError

_COMPRESS_LEVEL = 3


def write_category(
    product: Product,
    directory: Path,
    *,
    train: int,
    test_good: int,
    test_per_defect: int,
    size: tuple[int, int] = (256, 256),
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> None:
    """Draw `train/good`, `test/<label>` and `ground_truth/<defect>/<stem>_mask.png`, all PNG.

    Args:
        product: What is drawn.
        directory: The category's folder; made if it does not exist.
        train: Number of good parts to learn from.
        test_good: Number of good parts to test with.
        test_per_defect: Number of parts with each of the product's defects.
        size: Height and width of the pictures.
        seed: The same seed draws the same folder.
        on_progress: Told how many of how many pictures are done.

    Raises:
        MisconfiguredError: The folder holds something already, or cannot be written.
    """
    line = Line(product, seed, 0.0, size)
    plan = list(_plan(product, train, test_good, test_per_defect))
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise MisconfiguredError(
                "the folder holds something already", where=str(directory), remedy="name a new folder, or empty it"
            )
        for index, (folder, stem, label) in enumerate(plan):
            part = line.part_with(index, label)
            _write(Image.fromarray(part.pixels), directory / folder / label / f"{stem}.png")
            if label != GOOD:
                _write(Image.fromarray(part.mask), directory / "ground_truth" / label / f"{stem}_mask.png")
            if on_progress is not None:
                on_progress(index + 1, len(plan))
    except OSError as error:
        raise MisconfiguredError(
            f"the pictures cannot be written: {error.strerror}", where=str(directory), remedy="name another folder"
        ) from error


def _plan(product: Product, train: int, test_good: int, test_per_defect: int) -> Iterator[tuple[str, str, str]]:
    counts = [("train", GOOD, train), ("test", GOOD, test_good)]
    counts += [("test", defect, test_per_defect) for defect in product.defects]
    for folder, label, count in counts:
        for number in range(count):
            yield folder, f"{number:04d}", label


def _write(image: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, "PNG", compress_level=_COMPRESS_LEVEL)
