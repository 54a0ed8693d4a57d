"""`patchline draw`: a folder of drawn parts, for trying things out before there are pictures of one's own."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from patchline.cli.options import size_of
from patchline.pictures.products import PRODUCTS
from patchline.pictures.products.category import write_category
from patchline.replay.phases import phases
from patchline.wire.errors import MisconfiguredError


def command(
    product: Annotated[str, typer.Option("--product", help=f"One of {', '.join(PRODUCTS)}.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="A new folder.", show_default=False)],
    *,
    train: Annotated[int, typer.Option("--train", min=1, help="Good parts to learn from.")] = 40,
    test_good: Annotated[int, typer.Option("--test-good", min=0, help="Good parts to test with.")] = 10,
    test_per_defect: Annotated[int, typer.Option("--test-per-defect", min=0, help="Parts with each defect.")] = 5,
    size: Annotated[str, typer.Option("--size", help="HEIGHTxWIDTH of the pictures.")] = "256x256",
    seed: Annotated[int, typer.Option("--seed", help="The same seed draws the same parts.")] = 0,
) -> None:
    r"""Draw a category of parts in MVTec's layout: good ones, defective ones, and exact masks of the defects.

    Drawn parts show that a line works. They say nothing of how accurate it is on yours.

    [bold]Examples[/bold]

        patchline draw --product washer --out washers

        patchline replay --data washers --stations 2 --takt 0.5 \
            --codec webp:80 --report report
    """
    if product not in PRODUCTS:
        raise MisconfiguredError(
            f"there is no product {product!r}", where="--product", remedy=f"choose one of {', '.join(PRODUCTS)}"
        )
    console = Console(stderr=True)
    with phases(console) as on_phase:
        write_category(
            PRODUCTS[product],
            out,
            train=train,
            test_good=test_good,
            test_per_defect=test_per_defect,
            size=size_of(size, "--size"),
            seed=seed,
            on_progress=partial(on_phase, f"drawing {product}"),
        )
    console.print(f"drawn to {out}", soft_wrap=True, highlight=False)
