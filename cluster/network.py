"""Loopback addresses for all nodes or, as root, a network namespace per node, which can be partitioned.

Each namespace has a veth to a bridge. Taking it down drops packets silently, as between machines. The bridge has
a namespace of its own: a firewall of this machine (Docker's drops what is forwarded) does not apply there.
"""

import os
import shutil
import subprocess
import time
from pathlib import Path

from cluster.plan import BRIDGE, Node, Plan

SWITCH = "orders-switch"  # the namespace of the bridge
BRIDGE_NAME = "bridge0"
OUTSIDE = "orders0"  # this machine's veth to the bridge
UPLINK = "uplink0"  # and its other end
INSIDE = "node0"  # the veth's name inside the node
START_SECONDS = 10.0
TOOLS = ("ip", "unshare", "nsenter")


class NetworkError(Exception):
    """The network operation failed; the message has the cause and the fix."""


def wanted() -> str:
    """Return the network type from NETWORK. Raises NetworkError if unavailable."""
    choice = os.environ.get("NETWORK") or "loopback"
    if choice not in ("loopback", "namespaces"):
        raise NetworkError(f"NETWORK must be loopback or namespaces, not {choice!r}.")
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    if choice == "namespaces" and (os.geteuid() != 0 or missing):
        raise NetworkError("NETWORK=namespaces needs root and the programs ip, unshare and nsenter.")
    return choice


def set_up(plan: Plan) -> None:
    if plan.network == "namespaces":
        take_down(plan)
        _run("ip", "netns", "add", SWITCH)
        _run("ip", "-n", SWITCH, "link", "add", BRIDGE_NAME, "type", "bridge")
        _run("ip", "-n", SWITCH, "link", "set", BRIDGE_NAME, "up")
        _run("ip", "link", "add", OUTSIDE, "type", "veth", "peer", "name", UPLINK, "netns", SWITCH)
        _run("ip", "-n", SWITCH, "link", "set", UPLINK, "master", BRIDGE_NAME, "up")
        _run("ip", "address", "add", f"{BRIDGE}.1/24", "dev", OUTSIDE)
        _run("ip", "link", "set", OUTSIDE, "up")


def take_down(plan: Plan) -> None:
    if plan.network == "namespaces":
        _try("ip", "link", "delete", OUTSIDE)
        _try("ip", "netns", "delete", SWITCH)


def prefix(plan: Plan) -> list[str]:
    return ["unshare", "--net", "--"] if plan.network == "namespaces" else []


def plug_in(plan: Plan, node: Node, pid: int) -> None:
    """Connect a node, by its first process, to the bridge. Raises NetworkError."""
    if plan.network != "namespaces":
        return
    _await_own_network(pid)
    # The kernel may still be removing the last run's veth.
    _try("ip", "-n", SWITCH, "link", "delete", _veth(node))
    inside = ("nsenter", "--net", "--target", str(pid), "ip")
    peer = ("peer", "name", INSIDE, "netns", str(pid))
    _run("ip", "link", "add", _veth(node), "netns", SWITCH, "type", "veth", *peer)
    _run("ip", "-n", SWITCH, "link", "set", _veth(node), "master", BRIDGE_NAME, "up")
    _run(*inside, "link", "set", "lo", "up")
    _run(*inside, "address", "add", f"{node.host}/24", "dev", INSIDE)
    _run(*inside, "link", "set", INSIDE, "up")


def _await_own_network(pid: int) -> None:
    """Wait until the process has its own namespace. Raises NetworkError."""
    ours, deadline = Path("/proc/self/ns/net").readlink(), time.monotonic() + START_SECONDS
    while Path(f"/proc/{pid}/ns/net").readlink() == ours:
        if time.monotonic() > deadline:
            raise NetworkError("A node got no network of its own: is `unshare --net` allowed here?")
        time.sleep(0.01)


def cut(plan: Plan, node: Node) -> None:
    """Partition a node. Raises NetworkError."""
    if plan.network != "namespaces":
        raise NetworkError(
            "Nodes on loopback cannot be cut off: start with make cluster NETWORK=namespaces, as root."
        )
    _run("ip", "-n", SWITCH, "link", "set", _veth(node), "down")


def heal(plan: Plan, node: Node) -> None:
    if plan.network == "namespaces":
        _try("ip", "-n", SWITCH, "link", "set", _veth(node), "up")


def _veth(node: Node) -> str:
    return f"orders-{node.number}"


def _try(*command: str) -> None:
    subprocess.run(command, capture_output=True, check=False)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NetworkError(f"`{' '.join(command)}` failed: {done.stderr.strip()}.")
