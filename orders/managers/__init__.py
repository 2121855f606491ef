"""The only doors to the tables of orders: `orders` places them, `journeys` moves them on."""

from orders.managers.journeys import JourneyManager
from orders.managers.orders import OrderManager, OrderRow, PlacedLine, Stored
from orders.managers.transactions import CurrentTransaction

__all__ = ["CurrentTransaction", "JourneyManager", "OrderManager", "OrderRow", "PlacedLine", "Stored"]
