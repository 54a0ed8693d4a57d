"""The edge node with two witnesses: `python -m tests.rigs.torture.station edge.toml EXPOSED MOVED`.

The program is `patchline edge`; only its source and its gate are wrapped, to write down on paper of their own, outside
of anything the edge node knows of, which parts stood before the camera and which gates moved.
"""

import os
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

from edge_node.app import run
from edge_node.capture.sources import SOURCES
from edge_node.capture.sources.protocol import Pixels, Shot, Source
from edge_node.gate import gates
from edge_node.gate.gates.log import LogGate
from edge_node.gate.gates.protocol import Gate, OnFailure
from edge_node.outbox.rows import Trigger
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


def watched(source: type[Source], paper: Paper) -> type[Source]:
    """A source whose exposures are written down."""

    class WatchedSource(source):  # type: ignore[misc, valid-type]
        def at(self, trigger: Trigger) -> Shot | None:
            shot: Shot | None = super().at(trigger)
            return None if shot is None else replace(shot, open=partial(self._expose, shot))

        def _expose(self, shot: Shot) -> Pixels:
            paper.write(shot.part_id or "")
            return shot.open()

    return WatchedSource


def paper_gate(paper: Paper) -> type[Gate]:
    """A gate that moves a pen."""

    class PaperGate(LogGate):
        def act(self, command: GateCommand, left_seconds: float, on_failure: OnFailure) -> None:
            """Write the command down."""
            del left_seconds, on_failure
            paper.write(command.inspection_id, command.part_id, command.action, command.grounds)

    return PaperGate


def main(settings: str, exposed: str, moved: str) -> int:
    """Run the station until it is finished or stopped; its exit code."""
    SOURCES["replay"] = watched(SOURCES["replay"], Paper(exposed))
    gates.GATES["log"] = paper_gate(Paper(moved))
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
