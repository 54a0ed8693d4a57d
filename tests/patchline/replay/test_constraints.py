"""Thin lines and slow computers: asked of the kernel where it allows them, and nothing is left behind."""

import json
import os
import resource
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from patchline.replay import cpu_share, namespaces
from patchline.replay.constraints import Constraints
from patchline.replay.cpu_share import CpuShare
from patchline.replay.duty_cycle import DutyCycle
from patchline.replay.namespaces import Namespace
from patchline.wire.errors import MisconfiguredError, UnavailableError


@pytest.fixture
def networks() -> None:
    reason = namespaces.why_not()
    if reason:
        pytest.skip(f"no network namespaces here: {reason}")


@pytest.fixture
def groups() -> None:
    reason = cpu_share.why_not()
    if reason:
        pytest.skip(f"no control groups here: {reason}")


def test_a_station_may_be_left_as_it_is() -> None:
    with Constraints(2) as constraints:
        terms = constraints.terms_of(1)
    assert (terms.prefix, terms.broker_port) == ((), None)
    assert constraints.described() == {}
    assert constraints.addresses == []


def test_a_proxy_and_a_duty_cycle_limit_a_station_where_they_are_asked_for() -> None:
    with Constraints(2, uplink_bytes_per_second=1e5, slowdown=3.0, by="program") as constraints:
        ports = {constraints.terms_of(place).broker_port for place in range(2)}
    assert None not in ports
    assert len(ports) == 2
    told = constraints.described()
    assert "token bucket in a proxy" in told["uplink_shaped_by"]
    assert "duty cycle" in told["edge_throttled_by"]
    assert "5 ms running, 10 ms stopped" in told["edge_throttled_by"]


def test_this_program_limits_stations_where_the_kernel_may_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(namespaces, "why_not", lambda: "no")
    monkeypatch.setattr(cpu_share, "why_not", lambda: "no")
    with Constraints(1, uplink_bytes_per_second=1e5, slowdown=3.0) as constraints:
        assert constraints.terms_of(0).broker_port
    assert "duty cycle" in constraints.described()["edge_throttled_by"]
    with pytest.raises(MisconfiguredError, match=r"--uplink.*--constrained-by program"):
        Constraints(1, uplink_bytes_per_second=1e5, by="kernel")


def test_a_broker_that_listens_on_loopback_only_leaves_the_bucket() -> None:
    with Constraints(1, uplink_bytes_per_second=1e5, listens_anywhere=False) as constraints:
        assert constraints.terms_of(0).broker_port
        assert not constraints.addresses


def test_a_machine_without_the_programs_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert namespaces.why_not() == "the program ip is not installed"


def test_control_groups_of_both_versions_are_written(tmp_path: Path) -> None:
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "cgroup.controllers").write_text("cpu")
    with CpuShare("a", 4.0, root=tmp_path / "two") as share:
        assert (tmp_path / "two" / "patchline-a" / "cpu.max").read_text() == "1000 4000"
        share.take(os.getpid())
        assert (tmp_path / "two" / "patchline-a" / "cgroup.procs").read_text() == str(os.getpid())
    (tmp_path / "one" / "cpu").mkdir(parents=True)
    with CpuShare("a", 4.0, root=tmp_path / "one"):
        assert (tmp_path / "one" / "cpu" / "patchline-a" / "cpu.cfs_quota_us").read_text() == "1000"
        assert (tmp_path / "one" / "cpu" / "patchline-a" / "cpu.cfs_period_us").read_text() == "4000"
    with pytest.raises(UnavailableError, match="cannot be used"), CpuShare("a", 2.0, root=tmp_path / "nowhere"):
        pytest.fail("it was made")


def test_a_throttled_process_gets_its_share_of_a_core(groups: None) -> None:
    """Only the bound that the quota guarantees: never more processor time than its share."""
    program = "import sys, time; sys.stdin.readline(); end = time.monotonic() + 1.0\nwhile time.monotonic() < end: pass"
    with CpuShare(f"{os.getpid()}-test", 5.0) as share:
        spinner = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, text=True)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        share.take(spinner.pid)
        spinner.communicate("go\n")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert spent < 0.8, "a fifth of a second, and what starting took"


def test_a_process_in_a_duty_cycle_gets_its_part_of_the_time_and_runs_freely_afterwards() -> None:
    """Only the bound: a process that is stopped most of the time cannot use most of the time."""
    program = "import sys, time; sys.stdin.readline(); end = time.monotonic() + 1.0\nwhile time.monotonic() < end: pass"
    with DutyCycle(5.0) as cycle:
        spinner = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, text=True)
        idle = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, text=True)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        cycle.take(spinner.pid)
        cycle.take(idle.pid)
        spinner.communicate("go\n")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.9
    idle.communicate("go\n", timeout=60)
    assert idle.returncode == 0
    with pytest.raises(UnavailableError, match="cannot be slowed down"):
        cycle.take(idle.pid)


def test_what_leaves_a_namespace_takes_its_time_and_the_network_is_gone_afterwards(networks: None) -> None:
    with Namespace(0, 100_000.0) as network, socket.socket() as server:
        server.bind((network.outside, 0))
        server.listen()
        server.settimeout(60)
        received = bytearray()

        def receive() -> None:
            connection, peer = server.accept()
            assert peer[0] == network.inside
            while piece := connection.recv(65536):
                received.extend(piece)
            connection.close()

        receiver = threading.Thread(target=receive)
        receiver.start()
        program = (
            "import socket, sys; s = socket.create_connection((sys.argv[1], int(sys.argv[2])));"
            "s.sendall(bytes(60_000)); s.shutdown(socket.SHUT_WR); s.recv(1)"
        )
        arguments = [*network.prefix, sys.executable, "-c", program, network.outside, str(server.getsockname()[1])]
        started = time.monotonic()
        subprocess.run(arguments, check=True, timeout=60)
        took = time.monotonic() - started
        receiver.join()
        assert len(received) == 60_000
        assert took > 0.55
    assert (
        network.name not in subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    )


def test_whoever_looks_at_a_station_does_not_load_its_thin_wire(networks: None) -> None:
    with Namespace(0, 100_000.0) as network:
        program = (
            "import socket, sys; s = socket.create_server((sys.argv[1], 0)); print(s.getsockname()[1], flush=True);"
            "c, _ = s.accept(); c.sendall(bytes(100_000)); c.close()"
        )
        arguments = [*network.prefix, sys.executable, "-c", program, network.watched]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            received = 0
            with socket.create_connection((network.watched, port), timeout=60) as looking:
                while piece := looking.recv(65536):
                    received += len(piece)
        assert received == 100_000
        wires = subprocess.run(["ip", "-n", network.name, "-s", "-j", "link"], capture_output=True, check=True).stdout
        sent = {wire["ifname"]: wire["stats64"]["tx"]["bytes"] for wire in json.loads(wires)}
        assert sent[network._thin[1]] < 10_000
        assert sent[network._wide[1]] > 100_000
    left = subprocess.run(["ip", "link"], capture_output=True, text=True, check=True).stdout
    assert network._thin[0] not in left
    assert network._wide[0] not in left


def test_networks_of_runs_that_were_killed_are_swept(networks: None) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    left = f"patchline-{gone.pid}-0"
    subprocess.run(["ip", "netns", "add", left], check=True)
    namespaces.sweep()
    assert left not in subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout


def test_everything_goes_when_one_of_several_cannot_be_made(networks: None, monkeypatch: pytest.MonkeyPatch) -> None:
    constraints = Constraints(2, uplink_bytes_per_second=1e5, by="kernel")
    first, second = constraints._namespaces
    monkeypatch.setattr(second, "_thin", ("a-name-that-is-too-long-for-a-wire", "b"))
    with pytest.raises(UnavailableError), constraints:
        pytest.fail("it was made")
    left = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    assert first.name not in left
    assert second.name not in left
