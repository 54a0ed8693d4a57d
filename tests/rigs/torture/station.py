"""The edge node with two witnesses: `python -m tests.rigs.torture.station edge.toml EXPOSED MOVED`.

The program is `patchline edge`; only its source and its gate are wrapped, to write down on paper of their own, outside
of anything the edge node knows of, which parts stood before the camera and which gates moved.
"""

import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from edge_node.app import run
from edge_node.capture.sources import SOURCES
from edge_node.capture.sources.protocol import Pixels, Shot, Source
from edge_node.gate import gates
from edge_node.settings import EdgeSettings
from patchline.wire.errors import EXIT_MISCONFIGURED, EXIT_UNAVAILABLE, MisconfiguredError, UnavailableError
from patchline.wire.messages import GateCommand


class Paper:
    """A file that is appended to, line by line; a killed process leaves every line it wrote."""

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def write(self, *words: str) -> None:
        """Add a line."""
        os.write(self._descriptor, (" ".join(words) + "\n").encode())


class WatchedSource:
    """A source whose exposures are written down."""

    def __init__(self, source: Source, paper: Paper) -> None:
        self._source, self._paper = source, paper

    def frames(self) -> Iterator[Shot]:
        """The source's own shots."""
        for shot in self._source.frames():
            yield Shot(shot.part_id, partial(self._expose, shot))

    def _expose(self, shot: Shot) -> Pixels:
        self._paper.write(shot.part_id or "")
        return shot.open()


class PaperGate:
    """A gate that moves a pen."""

    def __init__(self, paper: Paper) -> None:
        self._paper = paper

    def act(self, command: GateCommand) -> None:
        """Write the command down."""
        self._paper.write(command.inspection_id, command.part_id, command.action, command.grounds)


def main(settings: str, exposed: str, moved: str) -> int:
    """Run the station until it is finished or stopped; its exit code."""
    seen = Paper(exposed)
    replay: Callable[..., Source] = SOURCES["replay"]

    def watched(**arguments: Any) -> Source:
        return WatchedSource(replay(**arguments), seen)

    SOURCES["replay"] = watched
    gates.GATES["log"] = partial(PaperGate, Paper(moved))
    try:
        return run(EdgeSettings.load(Path(settings)))
    except MisconfiguredError as error:
        print(error, file=sys.stderr)
        return EXIT_MISCONFIGURED
    except UnavailableError as error:
        print(error, file=sys.stderr)
        return EXIT_UNAVAILABLE


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
