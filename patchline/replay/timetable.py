"""What is to happen to a line, and when."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from patchline.replay.scenario import Kill, Victim


class Mortal(Protocol):
    """A program that can be killed and started again."""

    def kill(self) -> None:
        """End it with SIGKILL."""
        ...

    def start(self) -> None:
        """Start it, again if it was killed."""
        ...


class Timetable:
    """The kills of a scenario, each followed by a new start.

    Args:
        kills: What is to go wrong.
        programs: Whom it can happen to.

    Attributes:
        news: What has happened so far, one sentence each.
    """

    def __init__(self, kills: Sequence[Kill], programs: dict[Victim, Mortal]) -> None:
        self.news: list[str] = []
        moments: list[tuple[float, Callable[[], None]]] = []
        for kill in kills:
            program = programs[kill.victim]
            up_again = kill.at_seconds + kill.down_seconds
            killed = f"{kill.victim} killed at {kill.at_seconds:g} s"
            moments.append((kill.at_seconds, partial(self._happen, program.kill, killed)))
            moments.append((up_again, partial(self._happen, program.start, f"{kill.victim} back at {up_again:g} s")))
        self._moments = sorted(moments, key=lambda moment: moment[0])

    @property
    def over(self) -> bool:
        """Whether everything has happened."""
        return not self._moments

    def advance(self, seconds: float) -> None:
        """Let everything happen that is due so many seconds into the run."""
        while self._moments and self._moments[0][0] <= seconds:
            self._moments.pop(0)[1]()

    def _happen(self, action: Callable[[], None], sentence: str) -> None:
        action()
        self.news.append(sentence)
