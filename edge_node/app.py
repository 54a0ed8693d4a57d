"""The edge node, assembled: `run` reads from top to bottom."""

import logging
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from importlib.metadata import version
from types import FrameType
from uuid import uuid4

from edge_node.announcer import Announcer, last_will
from edge_node.capture import Capture
from edge_node.clock import clock_id
from edge_node.gatekeeper import Gatekeeper, GatePolicy
from edge_node.gates import GATES
from edge_node.gates.protocol import Gate
from edge_node.inbox import Inbox
from edge_node.metrics import EdgeMetrics
from edge_node.mode import Mode
from edge_node.orders import Orders
from edge_node.outbox import Outbox
from edge_node.profile_cache import ProfileCache
from edge_node.publisher import Publisher
from edge_node.receipts import Receipts
from edge_node.schedule import Schedule, SchedulePolicy
from edge_node.settings import EdgeSettings
from edge_node.sources import SOURCES
from edge_node.sources.protocol import Source
from edge_node.sources.triggers import MessageTriggers, Takt, Triggers, read_trigger
from wire_contract.errors import EXIT_UNAVAILABLE
from wire_contract.link.link import Link
from wire_contract.topics import Station, Topics

_log = logging.getLogger(__name__)
