"""Drawn products: parts that never existed, for demonstrations, tests and simulated lines.

They prove flow, never accuracy.
"""

from patchline.pictures.products.board import Board
from patchline.pictures.products.label import Label
from patchline.pictures.products.protocol import Product
from patchline.pictures.products.washer import Washer
from patchline.pictures.products.weave import Weave

PRODUCTS: dict[str, Product] = {
    "washer": Washer(),
    "label": Label(),
    "board": Board(),
    "weave": Weave(),
}
"""Name -> product."""
