"""The only doors to the tables of orders: `orders` places them, `journeys` moves them on."""

from orders.managers.journeys import BULK_LANES, JourneyManager
from orders.managers.orders import REFERENCE_INDEX, Extras, OrderManager, OrderRow, PlacedLine, Stored
from orders.managers.transactions import CurrentTransaction

__all__ = [
    "BULK_LANES",
    "REFERENCE_INDEX",
    "CurrentTransaction",
    "Extras",
    "JourneyManager",
    "OrderManager",
    "OrderRow",
    "PlacedLine",
    "Stored",
]
