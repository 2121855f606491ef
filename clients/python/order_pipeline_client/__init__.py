"""Client of the order pipeline's API."""

from order_pipeline_client.shop import Refused, Shop

__all__ = ["Refused", "Shop"]
