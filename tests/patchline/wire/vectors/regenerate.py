"""Write each `*.msgpack` anew from the `*.json` beside it, with the independent `msgpack` package alone.

Only for new kinds and new fields: what is written here once must stay readable for ever.
"""

import base64
import json
from pathlib import Path
from typing import Any

import msgpack

BINARY_FIELDS = {"frame": "payload", "drop": None, "map": "picture", "profile": None, "asset": "data"}
"""The kinds that travel as msgpack, and the field of each that is bytes: base64 in the JSON file, raw in the other."""


def document_of(path: Path) -> dict[str, Any]:
    """A JSON vector with its bytes as bytes."""
    document: dict[str, Any] = json.loads(path.read_bytes())
    binary = BINARY_FIELDS[path.stem]
    if binary is not None:
        document[binary] = base64.b64decode(document[binary])
    return document


def main() -> None:
    """Write the files."""
    for kind in BINARY_FIELDS:
        path = Path(__file__).with_name(f"{kind}.json")
        path.with_suffix(".msgpack").write_bytes(msgpack.packb(document_of(path), use_bin_type=True))


if __name__ == "__main__":
    main()
