"""The processes of a node, signalled together, as a machine fails as a whole."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil

from cluster.plan import Node

ROUNDS = 20
MODULE = "cluster.node"


def of_node(node: Node) -> list[psutil.Process]:
    """Return the node's process tree, and processes with its folder.

    PostgreSQL has its own session and survives Patroni.
    """
    found = set(_tree(node))
    found |= {process for process in psutil.process_iter() if _works_for(process, node)}
    return [process for process in found if process.pid != os.getpid()]


def _tree(node: Node) -> list[psutil.Process]:
    try:
        first = psutil.Process(int((node.folder / "run.lock").read_text()))
        if MODULE not in first.cmdline():  # the pid was reused
            return []
        return [first, *first.children(recursive=True)]
    except (OSError, ValueError, psutil.Error):
        return []


def _works_for(process: psutil.Process, node: Node) -> bool:
    """Whether DATA_DIR or the working directory is the node's; some processes overwrite their environment."""
    try:
        if process.environ().get("DATA_DIR") == str(node.folder):
            return True
    except (psutil.Error, OSError):
        return False
    try:
        return Path(process.cwd()).is_relative_to(node.folder.resolve())
    except (psutil.Error, OSError):
        return False


def signal_all(node: Node, number: signal.Signals) -> int:
    processes = of_node(node)
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.send_signal(number)
    return len(processes)


def kill(node: Node) -> int:
    """Kill the node's processes; SIGSTOP first, so that none starts another."""
    killed = 0
    for _ in _until_none(node):
        signal_all(node, signal.SIGSTOP)
        killed += signal_all(node, signal.SIGKILL)
    return killed


def end_leftovers(node: Node) -> None:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            folder = Path(process.cwd())
            if folder.is_relative_to(node.folder.resolve()) and process.name() == "postgres":
                process.kill()


def _until_none(node: Node) -> Iterator[None]:
    for _ in range(ROUNDS):
        if not any(_is_alive(process) for process in of_node(node)):
            return
        yield


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
