"""The machine among others."""

import socket

from django.core.exceptions import ImproperlyConfigured

from config.environment import env, number, whole
from config.settings.base import DATA_DIR

# cluster: a Valkey per machine. distributed: one Valkey for all machines.
DEPLOYMENT_MODE = env.str("DEPLOYMENT_MODE", default="standalone")
if DEPLOYMENT_MODE not in ("standalone", "distributed", "cluster"):
    raise ImproperlyConfigured(
        f"DEPLOYMENT_MODE must be standalone, distributed or cluster, not {DEPLOYMENT_MODE!r}."
    )
# This machine's name. NODE is the setting's older name.
NODE_ID = env.str("NODE_ID", default="") or env.str("NODE", default=socket.gethostname())
NODE = NODE_ID
# The cluster's expected members.
NODES = env.list("NODES", default=[])
# Comma-separated NATS servers; empty: no stream.
NATS_URL = env.list("NATS_URL", default=[])
NATS_USER, NATS_PASSWORD = env.str("NATS_USER", default=""), env.str("NATS_PASSWORD", default="")
if DEPLOYMENT_MODE == "cluster" and not NATS_URL:
    raise ImproperlyConfigured("DEPLOYMENT_MODE=cluster needs NATS_URL, by which the nodes find each other.")
# status: only events that change an order's status. STREAM_FROM: where an empty stream starts in the journal.
STREAM_EVENTS = env.str("STREAM_EVENTS", default="all")
if STREAM_EVENTS not in ("all", "status"):
    raise ImproperlyConfigured(f"STREAM_EVENTS must be all or status, not {STREAM_EVENTS!r}.")
STREAM_FROM = env.str("STREAM_FROM", default="start")
if STREAM_FROM not in ("start", "now"):
    raise ImproperlyConfigured(f"STREAM_FROM must be start or now, not {STREAM_FROM!r}.")
STREAM_REPLICAS = whole("STREAM_REPLICAS", default=3 if DEPLOYMENT_MODE == "cluster" else 1, at_least=1)
STREAM_DAYS = number("STREAM_DAYS", default=7, at_least=0.01)
# This node's Patroni REST API; empty: none.
PATRONI_URL = env.str("PATRONI_URL", default="").rstrip("/")
# While this file is there, the node is not ready and dispatches nothing.
DRAINING_FILE = env.str("DRAINING_FILE", default="") or str(DATA_DIR / "draining")
# A dispatcher's limits count the batches on its own broker.
BATCH_NODE = NODE_ID if DEPLOYMENT_MODE == "cluster" else ""
