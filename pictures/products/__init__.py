"""Drawn products: parts that never existed, for demonstrations, tests and simulated lines.

They prove flow, never accuracy.
"""

from pictures.products.board import Board
from pictures.products.label import Label
from pictures.products.protocol import Product
from pictures.products.washer import Washer
from pictures.products.weave import Weave

PRODUCTS: dict[str, Product] = {
    "washer": Washer(),
    "label": Label(),
    "board": Board(),
    "weave": Weave(),
}
"""Name -> product."""
