"""What the compression paper published: MVTec AD, all fifteen categories, WideResNet-50 at the server.

Its bytes leave out envelope and headers, its transmission is bytes over 100 kB/s, and its edge is the server's time
times three; ours are measured. Milliseconds of table 2 are given in seconds here, kilobytes of table 3 in bytes.
"""

from typing import Any

WHERE = {
    "image_auroc": "table 1, ROC (img), overall",
    "pixel_f1": "table 1, F1 (pxl), overall",
    "edge_seconds": "table 2, edge: feature extraction and encoding",
    "decode_seconds": "table 2, server: decoding",
    "server_backbone_seconds": "table 2, server: feature extraction",
    "detection_seconds": "table 2, AD",
    "payload_bytes": "table 3, payload",
    "transmission_seconds": "table 3, Tx time",
    "total_seconds": "table 3, total time",
    "change": "table 3, time vs. original",
}
"""Figure -> where the paper has it. Figure 4 plots pixel F1 over payload."""

PAPER: dict[str, dict[str, float]] = {
    "Original": {
        "image_auroc": 0.984, "pixel_f1": 0.570, "server_backbone_seconds": 0.00074, "detection_seconds": 0.1094,
        "payload_bytes": 60_000, "transmission_seconds": 0.60, "total_seconds": 0.71, "change": 0.0,
    },
    "Raw Features": {
        "image_auroc": 0.970, "pixel_f1": 0.523, "edge_seconds": 0.0150, "detection_seconds": 0.1057,
        "payload_bytes": 382_000, "transmission_seconds": 3.82, "total_seconds": 3.94, "change": 4.55,
    },
    "WebP": {
        "image_auroc": 0.982, "pixel_f1": 0.555, "edge_seconds": 0.0091, "decode_seconds": 0.0001,
        "server_backbone_seconds": 0.0006, "detection_seconds": 0.1095,
        "payload_bytes": 2_000, "transmission_seconds": 0.02, "total_seconds": 0.14, "change": -0.80,
    },
    "RS": {
        "image_auroc": 0.942, "pixel_f1": 0.457, "edge_seconds": 0.0461, "detection_seconds": 0.1020,
        "payload_bytes": 95_000, "transmission_seconds": 0.95, "total_seconds": 1.10, "change": 0.55,
    },
    "PQ": {
        "image_auroc": 0.818, "pixel_f1": 0.383, "edge_seconds": 0.0900, "decode_seconds": 0.00015,
        "detection_seconds": 0.1068,
        "payload_bytes": 4_000, "transmission_seconds": 0.04, "total_seconds": 0.24, "change": -0.67,
    },
    "RS + WebP": {
        "image_auroc": 0.842, "pixel_f1": 0.337, "edge_seconds": 0.0393, "decode_seconds": 0.0029,
        "detection_seconds": 0.1032,
        "payload_bytes": 2_000, "transmission_seconds": 0.02, "total_seconds": 0.17, "change": -0.76,
    },
    "RS + PQ": {
        "image_auroc": 0.800, "pixel_f1": 0.373, "edge_seconds": 0.0477, "decode_seconds": 0.00010,
        "detection_seconds": 0.1038,
        "payload_bytes": 2_000, "transmission_seconds": 0.02, "total_seconds": 0.17, "change": -0.77,
    },
}  # fmt: skip
"""Column of table 1, row of tables 2 and 3 -> its figures."""


def of_column(column: str) -> dict[str, Any]:
    """The figures of a column, with its name; nothing for a way the paper does not have."""
    return {"scenario": column, **PAPER[column]} if column in PAPER else {}
