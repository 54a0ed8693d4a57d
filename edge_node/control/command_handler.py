"""Carries out commands, each once, and answers each on `status`."""

import logging
from collections import OrderedDict

import msgspec

from edge_node.control.active_encoder import ActiveEncoder
from edge_node.control.profile_updates import show_encoder
from edge_node.control.status_publisher import StatusPublisher
from edge_node.metrics import EdgeMetrics
from patchline.mqtt.delivery import Delivery
from patchline.wire.errors import MisconfiguredError, UnavailableError, UnreadableError
from patchline.wire.messages import Command, ShortText, from_json

_log = logging.getLogger(__name__)

_REMEMBERED = 256


class _Answerable(msgspec.Struct):
    """The part of a command that an answer needs."""

    command_id: ShortText


class CommandHandler:
    """Reads the station's `command` channel. One thread at a time.

    Args:
        active_encoder: Changed.
        status_publisher: Publishes the answers.
        metrics: Where the codec in use is shown.
    """

    def __init__(
        self,
        active_encoder: ActiveEncoder,
        status_publisher: StatusPublisher,
        metrics: EdgeMetrics,
    ) -> None:
        self._active_encoder, self._status_publisher, self._metrics = active_encoder, status_publisher, metrics
        self._answered: OrderedDict[str, None] = OrderedDict()

    def receive(self, delivery: Delivery) -> None:
        """Carry out a command or refuse it; either way it is answered.

        Raises:
            UnreadableError: It is not a command; it is answered if its `command_id` can be read.
        """
        try:
            command: Command = from_json(delivery.payload, Command)
        except UnreadableError as error:
            self._answer_unreadable(delivery, error)
            raise
        refusal = self._refusal(command, delivery) or self._obey(command)
        if refusal:
            _log.warning("command %s refused: %s", command.name, refusal)
        else:
            _log.info("command %s obeyed", command.name)
        self._remember(command.command_id)
        self._status_publisher.announce(answers=command.command_id, error=refusal)

    def _refusal(self, command: Command, delivery: Delivery) -> str:
        if delivery.retained:
            return "a retained command is not obeyed; publish it without the retain flag, and clear the topic"
        if command.command_id in self._answered:
            return f"command {command.command_id} was answered already; a new command needs a new command_id"
        return ""

    def _obey(self, command: Command) -> str:
        """Do what a command says; what was wrong, or an empty text."""
        try:
            match command.name:
                case "pause" | "resume":
                    self._active_encoder.pause(paused=command.name == "pause")
                    self._metrics.paused.set(command.name == "pause")
                case "use_codec":
                    self._active_encoder.choose(command.codec)
                    show_encoder(self._metrics, self._active_encoder)
        except (MisconfiguredError, UnavailableError) as error:
            return str(error)
        return ""

    def _answer_unreadable(self, delivery: Delivery, error: UnreadableError) -> None:
        try:
            answerable: _Answerable = from_json(delivery.payload, _Answerable)
        except UnreadableError:
            return
        self._status_publisher.announce(answers=answerable.command_id, error=error.reason[:1024])

    def _remember(self, command_id: str) -> None:
        self._answered[command_id] = None
        if len(self._answered) > _REMEMBERED:
            self._answered.popitem(last=False)
