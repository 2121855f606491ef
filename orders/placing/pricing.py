"""Orders to place, and their lines at the catalogue's prices."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

import msgspec

from api.models import KeyReused
from database.arrays import document
from inventory.catalogue import ProductInfo, find_products
from iso.currencies import rounded
from orders.legs import PAYMENT
from orders.managers import Extras, OrderRow, PlacedLine
from orders.placing import totals
from orders.placing.totals import TotalChanged
from orders.rules.adjustments import Adjustment, total_of

MAX_QUANTITY = 1000
# The payment leg's state of an order that staff capture (`orders.legs`).
LATER = str(PAYMENT.LATER)
# Leaves room for shipping.
MAX_AMOUNT = Decimal("100000000.00")


class WantedLine(msgspec.Struct, frozen=True, gc=False):
    """A requested line; `price` is the one the customer saw, `unit_price` one that replaces the catalogue's."""

    quantity: int
    product_id: int | None = None
    sku: str | None = None
    product_name: str | None = None
    price: Decimal | None = None
    unit_price: Decimal | None = None
    properties: Mapping[str, str] | None = None
    adjustments: Sequence[Adjustment] = ()


class NewOrder(msgspec.Struct, frozen=True):
    owner_id: int
    customer_name: str
    lines: Sequence[WantedLine]
    currency: str
    country: str
    payment_token: str
    payment_gateway: str = ""  # empty: the default
    customer_id: str = ""
    email: str = ""
    shipping_address: dict[str, str] | None = None
    hold: bool = False
    expected_total: Decimal | None = None  # the total that the customer saw
    external_reference: str = ""
    metadata: Mapping[str, str] | None = None
    language: str = ""  # BCP 47; empty: the shop's
    adjustments: Sequence[Adjustment] = ()
    capture_later: bool = False  # by staff, in parts

    @property
    def is_plain(self) -> bool:
        """Whether it is captured at once, and its lines at the catalogue's prices, merged and without adjustments."""
        return not (self.adjustments or self.capture_later) and not any(
            line.unit_price is not None or line.properties or line.adjustments for line in self.lines
        )


class Priced(NamedTuple):
    """An order with its lines, merged and in product order, their amount, and its adjustments with those of lines."""

    new: NewOrder
    lines: list[PlacedLine]
    amount: Decimal
    adjustment_amount: Decimal = Decimal(0)
    adjustments: Sequence[Adjustment] = ()
    extras: Extras | None = None  # stored beside the row; None for a plain order

    def row(self) -> OrderRow:
        new = self.new
        return OrderRow(
            owner_id=new.owner_id,
            customer_id=new.customer_id,
            customer_name=new.customer_name,
            email=new.email,
            currency=new.currency,
            goods_amount=self.amount,
            weight_grams=totals.weight_of(self.lines),
            shipping_address=document(new.shipping_address or {}),
            country=new.country,
            payment_token=new.payment_token,
            payment_gateway=new.payment_gateway,
            external_reference=new.external_reference,
            metadata=document(new.metadata or {}),
            language=new.language,
            held=new.hold,
        )


class UnknownProduct(Exception):
    """The product does not exist or is retired."""

    def __init__(self, *, line: int, field: str, value: object) -> None:
        super().__init__(f"There is no product with {field} {str(value)[:80]!r} to order.")
        self.line, self.field, self.value = line, field, value


class PriceChanged(Exception):
    """The price is not the catalogue's."""

    def __init__(self, *, line: int, sku: str, sent: Decimal, current: Decimal, currency: str) -> None:
        super().__init__(f"The price of {sku} is {current} {currency}, not {sent}.")
        self.line, self.sku, self.sent, self.current, self.currency = line, sku, sent, current, currency


class WrongCurrency(Exception):
    """The product has another currency."""

    def __init__(self, *, line: int, sku: str, currency: str) -> None:
        super().__init__(f"{sku} is sold in {currency}.")
        self.line, self.sku, self.currency = line, sku, currency


class QuantityTooLarge(Exception):
    """One product's units exceed MAX_QUANTITY."""

    def __init__(self, *, line: int, maximum: int) -> None:
        super().__init__(f"One order may have at most {maximum} units of a product.")
        self.line, self.maximum = line, maximum


class AmountTooLarge(Exception):
    """The amount exceeds MAX_AMOUNT."""

    def __init__(self, *, maximum: Decimal) -> None:
        super().__init__(f"One order may be worth at most {maximum}.")
        self.maximum = maximum


class DiscountTooLarge(Exception):
    """Discounts exceed what they are of, with its other adjustments; `left` is the rest, below 0.

    `line`: the index of the line whose own they are; None for the order without shipping.
    """

    def __init__(self, *, left: Decimal, currency: str, line: int | None = None) -> None:
        of = "goods" if line is None else "line"
        super().__init__(f"The discounts exceed the {of} and other adjustments by {-left} {currency}.")
        self.line = line


class ReferenceTaken(Exception):
    """The owner has an order with this reference; `number` is its order number."""

    def __init__(self, *, reference: str, number: str) -> None:
        super().__init__(f"Order {number} has this reference.")
        self.reference, self.number = reference, number


REFUSALS = (
    UnknownProduct,
    PriceChanged,
    WrongCurrency,
    QuantityTooLarge,
    AmountTooLarge,
    DiscountTooLarge,
    TotalChanged,
    ReferenceTaken,
    KeyReused,
)


def price(new: NewOrder, catalogue: "Catalogue") -> Priced:
    """Return the order at the catalogue's prices, or at those given. Raises one of REFUSALS."""
    is_plain = new.is_plain
    lines = _merged(new, catalogue) if is_plain else _distinct(new, catalogue)
    amount = sum((line.unit_price * line.quantity for line in lines), Decimal(0))
    adjustments = new.adjustments if is_plain else _with_those_of_lines(new.adjustments, lines)
    adjusted = totals.adjusted(adjustments)
    if amount > MAX_AMOUNT or amount + adjusted > MAX_AMOUNT:
        raise AmountTooLarge(maximum=MAX_AMOUNT)
    # Without shipping, which is priced later: so no total is ever below 0.
    if amount + adjusted < 0:
        raise DiscountTooLarge(left=amount + adjusted, currency=new.currency)
    totals.check_expected(new, lines, amount, adjusted)
    payment = LATER if new.capture_later else ""
    extras = None if is_plain else Extras(document(adjustments or None), adjusted, payment)
    return Priced(new, lines, amount, adjusted, adjustments, extras)


def _with_those_of_lines(adjustments: Sequence[Adjustment], lines: Iterable[PlacedLine]) -> list[Adjustment]:
    of_lines = (
        msgspec.structs.replace(each, line=place)
        for place, line in enumerate(lines, start=1)
        for each in line.adjustments
    )
    return [*adjustments, *of_lines]


def _merged(new: NewOrder, catalogue: "Catalogue") -> list[PlacedLine]:
    """Return one line of each product, at the catalogue's price."""
    merged: dict[int, PlacedLine] = {}
    for index, wanted in enumerate(new.lines):
        product = catalogue.product_of(index, wanted)
        _check(index, wanted, product, new.currency)
        earlier = merged.get(product.id)
        quantity = wanted.quantity + (earlier.quantity if earlier else 0)
        if quantity > MAX_QUANTITY:
            raise QuantityTooLarge(line=index, maximum=MAX_QUANTITY)
        merged[product.id] = PlacedLine(
            product.id, product.sku, product.name, quantity, product.price, product.weight_grams
        )
    return [merged[product_id] for product_id in sorted(merged)]


def _distinct(new: NewOrder, catalogue: "Catalogue") -> list[PlacedLine]:
    """Return one line of each product, price and set of properties, numbered by product in the order given.

    A line with adjustments of its own stays apart.
    """
    merged: dict[int, dict[Hashable, PlacedLine]] = {}
    for index, wanted in enumerate(new.lines):
        product = catalogue.product_of(index, wanted)
        _check(index, wanted, product, new.currency)
        of_product = merged.setdefault(product.id, {})
        if wanted.quantity + sum(line.quantity for line in of_product.values()) > MAX_QUANTITY:
            raise QuantityTooLarge(line=index, maximum=MAX_QUANTITY)
        unit_price = product.price if wanted.unit_price is None else rounded(wanted.unit_price, new.currency)
        properties = wanted.properties or {}
        _check_discounts(index, wanted, unit_price, new.currency)
        alike = (unit_price, frozenset(properties.items()), index if wanted.adjustments else None)
        earlier = of_product.get(alike)
        of_product[alike] = PlacedLine(
            product.id,
            product.sku,
            product.name,
            wanted.quantity + (earlier.quantity if earlier else 0),
            unit_price,
            product.weight_grams,
            earlier.number if earlier else len(of_product),
            properties or None,
            wanted.adjustments,
        )
    return [line for product_id in sorted(merged) for line in merged[product_id].values()]


def _check_discounts(index: int, wanted: WantedLine, unit_price: Decimal, currency: str) -> None:
    left = unit_price * wanted.quantity + total_of(wanted.adjustments)
    if left < 0:
        raise DiscountTooLarge(left=left, currency=currency, line=index)


def _check(index: int, wanted: WantedLine, product: ProductInfo, currency: str) -> None:
    if product.currency != currency:
        raise WrongCurrency(line=index, sku=product.sku, currency=product.currency)
    if wanted.price is not None and wanted.price != product.price:
        raise PriceChanged(
            line=index, sku=product.sku, sent=wanted.price, current=product.price, currency=product.currency
        )


class Catalogue:
    """The products of lines, read in one statement, or from the cache with `cached_products`."""

    def __init__(
        self,
        lines: Iterable[WantedLine],
        *,
        with_retired: bool = False,
        find: Callable[..., list[ProductInfo]] = find_products,
    ) -> None:
        lines = list(lines)
        products = find(
            ids={line.product_id for line in lines if line.product_id is not None},
            skus={line.sku for line in lines if line.sku is not None},
            names={line.product_name for line in lines if line.product_name is not None},
        )
        active = [product for product in products if product.active or with_retired]
        self._by_id = {product.id: product for product in active}
        self._by_sku = {product.sku: product for product in active}
        self._by_name = {product.name: product for product in active}

    def version_of(self, product_id: int) -> int:
        return self._by_id[product_id].version

    def product_of(self, index: int, line: WantedLine) -> ProductInfo:
        """Return the product that all given identifiers agree on. Raises UnknownProduct."""
        if line.sku is None and line.product_name is None and line.product_id in self._by_id:
            return self._by_id[line.product_id]  # fast path
        found: ProductInfo | None = None
        for field, value, product in self._named(line):
            if value is None:
                continue
            if product is None or found not in (None, product):
                raise UnknownProduct(line=index, field=field, value=value)
            found = product
        if found is None:
            raise UnknownProduct(line=index, field="productId", value=None)
        return found

    def _named(self, line: WantedLine) -> list[tuple[str, object, ProductInfo | None]]:
        return [
            ("productId", line.product_id, self._by_id.get(line.product_id or 0)),
            ("sku", line.sku, self._by_sku.get(line.sku or "")),
            ("productName", line.product_name, self._by_name.get(line.product_name or "")),
        ]
