"""The generated models."""

from order_pipeline_client.generated.models import *  # noqa: F403
