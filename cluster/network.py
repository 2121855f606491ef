"""Networks: addresses on loopback for everyone, or, for root, a network of its own for each node, which can be cut.

With namespaces each node hangs on a bridge by a cable of its own. Cut, it stays up and hears nobody, and what others
sent it is lost without a word, as between machines.
"""

import os
import shutil
import subprocess
import time
from pathlib import Path

from cluster.plan import BRIDGE, Node, Plan

BRIDGE_NAME = "orders0"
INSIDE = "node0"  # what a cable is called at the node's end
START_SECONDS = 10.0
TOOLS = ("ip", "unshare", "nsenter")


class NetworkError(Exception):
    """The network cannot be made or cut; the message is one sentence that says why and what to do."""


def wanted() -> str:
    """Return which network NETWORK asks for. Raises NetworkError if this account cannot have it."""
    choice = os.environ.get("NETWORK") or "loopback"
    if choice not in ("loopback", "namespaces"):
        raise NetworkError(f"NETWORK must be loopback or namespaces, not {choice!r}.")
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    if choice == "namespaces" and (os.geteuid() != 0 or missing):
        raise NetworkError("NETWORK=namespaces needs root and the programs ip, unshare and nsenter.")
    return choice


def set_up(plan: Plan) -> None:
    """Make the bridge that the nodes will hang on."""
    if plan.network == "namespaces":
        take_down(plan)
        _run("ip", "link", "add", BRIDGE_NAME, "type", "bridge")
        _run("ip", "address", "add", f"{BRIDGE}.1/24", "dev", BRIDGE_NAME)
        _run("ip", "link", "set", BRIDGE_NAME, "up")


def take_down(plan: Plan) -> None:
    """Take the bridge away; the cables went with their nodes."""
    if plan.network == "namespaces":
        _try("ip", "link", "delete", BRIDGE_NAME)


def prefix(plan: Plan) -> list[str]:
    """Return what is put before the command of a node."""
    return ["unshare", "--net", "--"] if plan.network == "namespaces" else []


def plug_in(plan: Plan, node: Node, pid: int) -> None:
    """Connect a node, whose first process has the number `pid`, to the bridge. Raises NetworkError."""
    if plan.network != "namespaces":
        return
    _await_own_network(pid)
    # The kernel may still be taking the one of the node's last run away.
    _try("ip", "link", "delete", _cable(node))
    inside = ("nsenter", "--net", "--target", str(pid), "ip")
    _run("ip", "link", "add", _cable(node), "type", "veth", "peer", "name", INSIDE, "netns", str(pid))
    _run("ip", "link", "set", _cable(node), "master", BRIDGE_NAME, "up")
    _run(*inside, "link", "set", "lo", "up")
    _run(*inside, "address", "add", f"{node.host}/24", "dev", INSIDE)
    _run(*inside, "link", "set", INSIDE, "up")


def _await_own_network(pid: int) -> None:
    """Return once the process has left our network, in which it started. Raises NetworkError."""
    ours, deadline = Path("/proc/self/ns/net").readlink(), time.monotonic() + START_SECONDS
    while Path(f"/proc/{pid}/ns/net").readlink() == ours:
        if time.monotonic() > deadline:
            raise NetworkError("A node got no network of its own: is `unshare --net` allowed here?")
        time.sleep(0.01)


def cut(plan: Plan, node: Node) -> None:
    """Unplug a node. Raises NetworkError."""
    if plan.network != "namespaces":
        raise NetworkError(
            "Nodes on loopback cannot be cut off: start with make cluster NETWORK=namespaces, as root."
        )
    _run("ip", "link", "set", _cable(node), "down")


def heal(plan: Plan, node: Node) -> None:
    """Plug it in again."""
    if plan.network == "namespaces":
        _try("ip", "link", "set", _cable(node), "up")


def _cable(node: Node) -> str:
    return f"orders-{node.number}"


def _try(*command: str) -> None:
    """Run it where it may have been done already."""
    subprocess.run(command, capture_output=True, check=False)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NetworkError(f"`{' '.join(command)}` failed: {done.stderr.strip()}.")
