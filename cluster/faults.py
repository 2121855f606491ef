"""Node faults: `python -m cluster kill 2`, `freeze`, `cut`, `heal`."""

import signal

from cluster import network, processes
from cluster.plan import Node, Plan


def kill(_plan: Plan, node: Node) -> str:
    """Kill the node as a power cut would, until healed."""
    node.down.touch()
    return f"{node.name} is off: {processes.kill(node)} processes were killed."


def freeze(_plan: Plan, node: Node) -> str:
    return f"{node.name} is frozen: {processes.signal_all(node, signal.SIGSTOP)} processes."


def cut(plan: Plan, node: Node) -> str:
    network.cut(plan, node)
    return f"{node.name} is cut off."


def heal(plan: Plan, node: Node) -> str:
    processes.signal_all(node, signal.SIGCONT)
    network.heal(plan, node)
    node.down.unlink(missing_ok=True)
    return f"{node.name} is healed."


FAULTS = {"kill": kill, "freeze": freeze, "cut": cut, "heal": heal}
