"""Where a station's pictures come from; one file and one line here add a source."""

from edge_node.capture.sources.camera import CameraSource
from edge_node.capture.sources.conveyor import ConveyorSource
from edge_node.capture.sources.folder import FolderSource
from edge_node.capture.sources.protocol import Source
from edge_node.capture.sources.replay import ReplaySource
from edge_node.capture.sources.synthetic import SyntheticSource

SOURCES: dict[str, type[Source]] = {
    "folder": FolderSource,
    "replay": ReplaySource,
    "synthetic": SyntheticSource,
    "camera": CameraSource,
    "conveyor": ConveyorSource,
}
