"""Addresses and tokens of what watches the system."""

from django.core.exceptions import ImproperlyConfigured

from config.environment import env

# Bearer token for /metrics and the details of /health.
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
# Touched while a process's loop runs, for container health checks; empty: none.
HEARTBEAT_FILE = env.str("HEARTBEAT_FILE", default="")
# The live server's internal address; browsers go through the proxy.
LIVE_HOST, LIVE_PORT = env.str("LIVE_HOST", default="127.0.0.1"), env.int("LIVE_PORT", default=8002)
LIVE_URL = env.str("LIVE_URL", default=f"http://{LIVE_HOST}:{LIVE_PORT}")
# Public address of Flower; empty: no links.
FLOWER_URL = env.str("FLOWER_URL", default="").rstrip("/")
# Link template with {trace_id}; empty: no links.
TRACE_URL = env.str("TRACE_URL", default="")
if TRACE_URL and "{trace_id}" not in TRACE_URL:
    raise ImproperlyConfigured("TRACE_URL must have {trace_id} where the trace's id belongs.")
