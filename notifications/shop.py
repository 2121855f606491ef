"""The shop as customers know it: name, logo, support and colours, from settings."""

from dataclasses import dataclass
from functools import cache
from urllib.parse import urlsplit

from django.conf import settings

WHITE, BLACK = (255, 255, 255), (22, 26, 34)
# Surfaces of the pages and mails.
LIGHT, DARK = (255, 255, 255), (23, 27, 35)
ENOUGH_CONTRAST = 4.5  # WCAG AA

Color = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Accent:
    """The shop's colour on light or dark ground, and the text on it. All have enough contrast."""

    color: str
    text: str


@dataclass(frozen=True, slots=True)
class Shop:
    """What pages and mails show of the shop. Empty: not set."""

    name: str
    url: str
    logo_url: str
    support_email: str
    light: Accent
    dark: Accent

    @property
    def logo_origin(self) -> str:
        """Return the origin of a logo on another host, for the pages' policy."""
        parts = urlsplit(self.logo_url)
        return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""


def shop() -> Shop:
    return Shop(
        name=settings.SHOP_NAME,
        url=settings.SHOP_URL,
        logo_url=settings.SHOP_LOGO_URL,
        support_email=settings.SHOP_SUPPORT_EMAIL,
        light=accent(settings.SHOP_COLOR, LIGHT),
        dark=accent(settings.SHOP_COLOR, DARK),
    )


@cache
def accent(color: str, ground: Color) -> Accent:
    """Return the colour nearest to `color` (#rrggbb) that is readable on the ground."""
    towards = WHITE if luminance(ground) < 0.5 else BLACK
    found = readable = _parse(color)
    for share in range(0, 101, 5):
        readable = tuple(round(a + (b - a) * share / 100) for a, b in zip(found, towards, strict=True))
        if contrast(readable, ground) >= ENOUGH_CONTRAST:
            break
    text = max((WHITE, BLACK), key=lambda each: contrast(each, readable))
    return Accent(_format(readable), _format(text))


def contrast(one: Color, other: Color) -> float:
    """Return the contrast of two colours as WCAG defines it, 1 to 21."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(color: Color) -> float:
    """Return the relative luminance as WCAG defines it, 0 to 1."""
    red, green, blue = (_linear(channel / 255) for channel in color)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4


def _parse(color: str) -> Color:
    return tuple(bytes.fromhex(color.removeprefix("#")))


def _format(color: Color) -> str:
    return "#" + bytes(color).hex()
