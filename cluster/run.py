"""The cluster under one supervisor: nodes, shared services and the balancer."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from cluster import environment, network, release
from cluster.plan import BASE_DIR, Node, Plan
from cluster.readiness import answers, is_ready
from launcher.announcement import DEMO_ACCOUNTS
from launcher.child import Process, signal_group, start_child, stop_child
from launcher.console import Console, wants_colour
from launcher.engines import free_port, is_free
from launcher.guardian import Guardian
from launcher.supervisor import Program, Supervisor

# Longer than a node's own stop timeouts.
NODE_STOP_SECONDS = 40.0
LATE_SECONDS = 120.0
NODE_PORTS = (5001, 5002, 5003)


def run(plan: Plan, *, prove: bool) -> int:
    """Run the cluster until stopped or proved; return the exit status."""
    plan.prepared.unlink(missing_ok=True)
    for node in plan.nodes:
        node.folder.mkdir(mode=0o700, exist_ok=True)
        node.down.unlink(missing_ok=True)
    ports = [port if is_free(port) else free_port() for port in NODE_PORTS]
    network.set_up(plan)
    try:
        with Guardian() as guardian:
            console = Console(sys.stdout.fileno(), colour=wants_colour(), width=8)
            stages = Stages(plan, ports, console, guardian, prove=prove)
            Supervisor(programs(plan, ports), console, guardian, on_tick=stages).run()
            stages.stop()
            return stages.status
    finally:
        network.take_down(plan)


def programs(plan: Plan, node_ports: list[int]) -> list[Program]:
    shared = environment.common(plan) | {"SANDBOX_DATA": str(plan.folder / "sandbox")}
    front = environment.of_front(plan, node_ports)
    caddy = ["caddy", "run", "--config", "cluster/Caddyfile", "--adapter", "caddyfile"]
    return [
        *(_node(plan, node) for node in plan.nodes),
        _program("sandbox", [sys.executable, "-m", "sandbox"], os.environ | shared),
        _program("front", caddy, front),
    ]


def _program(name: str, argv: list[str], variables: dict[str, str]) -> Program:
    def launch(output: int) -> Process:
        return start_child(argv, death_signal=signal.SIGKILL, env=variables, cwd=BASE_DIR, output=output)

    return Program(name=name, launch=launch)


def _node(plan: Plan, node: Node) -> Program:
    variables = environment.of_node(plan, node)

    def launch(output: int) -> Process:
        code = release.of(plan)  # an upgrade changes it
        python = [*network.prefix(plan), release.interpreter(code)]
        argv = [*python, "-m", "cluster.node", str(node.number), str(plan.folder)]
        process = start_child(argv, death_signal=signal.SIGTERM, env=variables, cwd=code, output=output)
        try:
            network.plug_in(plan, node, process.pid)
        except BaseException:
            signal_group(process, signal.SIGKILL)
            process.wait()
            raise
        return process

    return Program(name=node.name, launch=launch, stop_seconds=NODE_STOP_SECONDS)


class Stages:
    """The stages while everything runs: prepare, wait until ready, optionally prove."""

    def __init__(
        self, plan: Plan, node_ports: list[int], console: Console, guardian: Guardian, *, prove: bool
    ) -> None:
        self.status = 0
        self._plan, self._ports, self._console, self._guardian = plan, node_ports, console, guardian
        self._wants_proof = prove
        self._began = time.monotonic()
        self._is_ready = self._is_late = False
        self._child: subprocess.Popen[bytes] | None = None
        self._start("cluster.prepare", cwd=release.of(plan))

    def __call__(self) -> None:
        if self._child is not None and self._child.poll() is not None:
            self._has_ended(self._child)
        elif self._child is None and not self._is_ready:
            self._look()

    def stop(self) -> None:
        if self._child is not None:
            stop_child(self._child, stop_signal=signal.SIGTERM, timeout=5)
            self._guardian.forget(self._child.pid)

    def _start(self, module: str, *, cwd: Path = BASE_DIR) -> None:
        argv = [release.interpreter(cwd), "-m", module, str(self._plan.folder)]
        self._child = start_child(argv, death_signal=signal.SIGKILL, cwd=cwd, output=self._console.output)
        self._guardian.watch(self._child.pid)

    def _has_ended(self, child: subprocess.Popen[bytes]) -> None:
        self._guardian.forget(child.pid)
        self._child = None
        if self._is_ready or child.returncode:  # proved, or not prepared
            self.status = 1 if child.returncode else 0
            os.kill(os.getpid(), signal.SIGTERM)

    def _look(self) -> None:
        waited = time.monotonic() - self._began
        unready = [node.name for node in self._plan.nodes if not is_ready(self._plan, node)]
        if not unready and answers(self._front()):
            self._is_ready = True
            self._console.text(f"Ready after {waited:.0f} s.{table(self._plan, self._ports)}")
            if self._wants_proof:
                self._start("cluster.proof")
        elif waited > LATE_SECONDS and not self._is_late:
            self._is_late = True
            self._console.text(f"Not ready after {waited:.0f} s: {', '.join(unready) or 'the front'}.")

    def _front(self) -> str:
        variables = environment.common(self._plan)
        return f"{variables['HOST']}:{variables['PORT']}"


def table(plan: Plan, node_ports: list[int]) -> str:
    variables = environment.common(plan)
    base = variables["PUBLIC_URL"]
    rows = [("Live board", f"{base}/"), ("API", f"{base}/api"), ("Nodes", f"{base}/api/system/nodes")]
    for node, port in zip(plan.nodes, node_ports, strict=True):
        rows.append(
            (
                node.name,
                f"http://localhost:{port}   PostgreSQL {node.at('postgres')}   NATS {node.at('nats')}",
            )
        )
    rows.append(("Stream", f"{plan.nats_url()}   reader / {plan.secrets['NATS_READER_PASSWORD']}"))
    rows += [
        (f"Login {role}", f"{name} / {plan.secrets[variable]}") for role, name, variable in DEMO_ACCOUNTS
    ]
    rows += [
        ("Try", "make cluster-kill NODE=2   make cluster-freeze NODE=1   make cluster-heal"),
    ]
    lines = [f"  {title:<16}{value}" for title, value in rows]
    return "\n".join(["", "", *lines, "", "Press Ctrl-C to stop.", ""])
