"""The shell blocks of the documents, and a terminal that runs those of one page after each other."""

import os
import re
import shutil
import signal
import socket
import subprocess
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_FENCE = re.compile(r"^( *)```(?:sh|bash)(?: (?P<mark>[^\n]*))?\n(?P<script>.*?)^\1```$", re.MULTILINE | re.DOTALL)
BROKER_PORT = 1883
_BLOCK_SECONDS = 600.0
_FIRST_WORD_SECONDS = 60.0
_STOP_SECONDS = 30.0


@dataclass(frozen=True)
class Block:
    """A shell block: the page and line it is on, its mark, and what it runs."""

    page: Path
    line: int
    mark: str
    script: str

    @property
    def never(self) -> bool:
        return self.mark.startswith("never: ")

    @property
    def background(self) -> bool:
        return "background" in self.mark.split()

    @property
    def missing(self) -> list[str]:
        """Programs it needs that are not installed."""
        needed = re.findall(r"needs:(\S+)", self.mark)
        return [name for name in needed if shutil.which(name) is None]

    @property
    def is_marked(self) -> bool:
        return bool(re.fullmatch(r"never: \S.*|run( background)?( needs:\S+)*", self.mark))

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    """The shell blocks of a page, in their order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            page,
            text[: found.start()].count("\n") + 1,
            (found["mark"] or "").strip(),
            textwrap.dedent(found["script"]),
        )
        for found in _FENCE.finditer(text)
    ]


def is_open(port: int) -> bool:
    """Whether a program listens on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass
class Terminal:
    """Runs blocks in a folder; variables and the current folder pass from one block to the next.

    Attributes:
        folder: Where the page begins.
        logs: Where the output of background blocks goes, and the state between blocks.
    """

    folder: Path
    logs: Path
    environment: dict[str, str]
    _started: list[tuple[Block, "subprocess.Popen[bytes]", Path]] = field(default_factory=list)

    def run(self, block: Block) -> None:
        """Run a block to its end; fails unless its exit code is 0."""
        state = self.logs / "state"
        script = f"{self._resume()}{block.script}\nexport -p > '{state}'\nprintf 'cd %q\\n' \"$PWD\" >> '{state}'\n"
        done = subprocess.run(
            ["bash", "-e", "-c", script],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_BLOCK_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{block}: exit code {done.returncode}\n{block.script}\n{done.stdout[-4000:]}"

    def start(self, block: Block) -> None:
        """Start a block and wait for its first output; a silent program is no error."""
        log = self.logs / f"{block.page.stem}-{block.line}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-e", "-c", self._resume() + block.script],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._started.append((block, process, log))
        until = time.monotonic() + _FIRST_WORD_SECONDS
        while not log.stat().st_size and process.poll() is None and time.monotonic() < until:
            time.sleep(0.1)
        while "mosquitto -p" in block.script and not is_open(BROKER_PORT) and time.monotonic() < until:
            time.sleep(0.1)

    def close(self) -> Iterator[str]:
        """End what still runs; yields a sentence for each background block that ended with an error before."""
        for block, process, log in reversed(self._started):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                try:
                    process.wait(_STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
            elif process.returncode != 0:
                text = log.read_text(encoding="utf-8", errors="replace")
                yield f"{block}: ended with exit code {process.returncode}\n{block.script}\n{text[-4000:]}"
        self._started.clear()

    def _resume(self) -> str:
        state = self.logs / "state"
        return f". '{state}'\n" if state.exists() else ""
