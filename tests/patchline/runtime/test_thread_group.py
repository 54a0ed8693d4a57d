"""Signals that a program gets from outside stop it in order, in a process of its own."""

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import signal, sys, threading
from patchline.runtime.thread_group import stopped_by_signals
if "nohup" in sys.argv:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
stop = threading.Event()
with stopped_by_signals(stop):
    print("ready", flush=True)
    stop.wait(60)
print("stopped in order", flush=True)
"""


def start(*arguments: str) -> subprocess.Popen[str]:
    program = subprocess.Popen([sys.executable, "-c", PROGRAM, *arguments], stdout=subprocess.PIPE, text=True)
    assert program.stdout is not None
    assert program.stdout.readline() == "ready\n"
    return program


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_a_program_in_order(number: signal.Signals) -> None:
    with start() as program:
        program.send_signal(number)
        assert program.communicate(timeout=60)[0] == "stopped in order\n"
    assert program.returncode == 0


def test_a_program_that_ignores_hangups_goes_on_ignoring_them() -> None:
    with start("nohup") as program:
        program.send_signal(signal.SIGHUP)
        program.send_signal(signal.SIGTERM)
        assert program.communicate(timeout=60)[0] == "stopped in order\n"
    assert program.returncode == 0
