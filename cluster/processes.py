"""Which processes belong to a node, and what befalls them together: a machine dies or freezes as a whole."""

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
    """Return the node's processes: those below its first one, and those that work in its folder, as PostgreSQL does.

    PostgreSQL runs in a session of its own, and lives on when Patroni dies.
    """
    found = set(_tree(node))
    found |= {process for process in psutil.process_iter() if _works_for(process, node)}
    return [process for process in found if process.pid != os.getpid()]


def _tree(node: Node) -> list[psutil.Process]:
    try:
        first = psutil.Process(int((node.folder / "run.lock").read_text()))
        if MODULE not in first.cmdline():  # its number belongs to somebody else by now
            return []
        return [first, *first.children(recursive=True)]
    except (OSError, ValueError, psutil.Error):
        return []


def _works_for(process: psutil.Process, node: Node) -> bool:
    """Whether it was told to, or works in the node's folder. Some overwrite what they were told."""
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
    """Signal every process of the node; return how many there were."""
    processes = of_node(node)
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.send_signal(number)
    return len(processes)


def kill(node: Node) -> int:
    """Kill every process of the node as a power cut would: first none of them may start another one."""
    killed = 0
    for _ in _until_none(node):
        signal_all(node, signal.SIGSTOP)
        killed += signal_all(node, signal.SIGKILL)
    return killed


def end_leftovers(node: Node) -> None:
    """Kill the PostgreSQL that an earlier run of the node left behind."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            works_in = Path(process.cwd())
            if works_in.is_relative_to(node.folder.resolve()) and process.name() == "postgres":
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
