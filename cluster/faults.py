"""What may befall a node, and its end: `python -m cluster kill 2`, `freeze`, `cut`, `heal`."""

import signal

from cluster import network, processes
from cluster.plan import Node, Plan


def kill(_plan: Plan, node: Node) -> str:
    """Switch the node off as a power cut would. It stays off until it is healed."""
    node.down.touch()
    return f"{node.name} is off: {processes.kill(node)} processes were killed."


def freeze(_plan: Plan, node: Node) -> str:
    """Stop the node's clock: everything is there, and nothing answers."""
    return f"{node.name} is frozen: {processes.signal_all(node, signal.SIGSTOP)} processes."


def cut(plan: Plan, node: Node) -> str:
    """Cut the node off from the others, and from the front."""
    network.cut(plan, node)
    return f"{node.name} is cut off."


def heal(plan: Plan, node: Node) -> str:
    """Undo all of it."""
    processes.signal_all(node, signal.SIGCONT)
    network.heal(plan, node)
    node.down.unlink(missing_ok=True)
    return f"{node.name} is healed."


FAULTS = {"kill": kill, "freeze": freeze, "cut": cut, "heal": heal}
