"""The shop as its customers see it: on their order's page and in mails."""

import re
from zoneinfo import available_timezones

from django.core.exceptions import ImproperlyConfigured

from config.environment import env, web_address
from config.settings.base import LANGUAGES

SHOP_NAME = env.str("SHOP_NAME", default="Order pipeline")
SHOP_URL = web_address("SHOP_URL")
SHOP_LOGO_URL = web_address("SHOP_LOGO_URL")
SHOP_SUPPORT_EMAIL = env.str("SHOP_SUPPORT_EMAIL", default="")
if SHOP_SUPPORT_EMAIL and "@" not in SHOP_SUPPORT_EMAIL:
    raise ImproperlyConfigured(f"SHOP_SUPPORT_EMAIL must be an e-mail address, not {SHOP_SUPPORT_EMAIL!r}.")
SHOP_COLOR = env.str("SHOP_COLOR", default="#3451c6").lower()
if not re.fullmatch("#[0-9a-f]{6}", SHOP_COLOR):
    raise ImproperlyConfigured(f"SHOP_COLOR must be a colour such as #3451c6, not {SHOP_COLOR!r}.")
# Language of mails, and of pages where the browser asks for none that we have.
SHOP_LANGUAGE = env.str("SHOP_LANGUAGE", default="en")
if SHOP_LANGUAGE not in dict(LANGUAGES):
    raise ImproperlyConfigured(
        f"SHOP_LANGUAGE must be one of {', '.join(dict(LANGUAGES))}, not {SHOP_LANGUAGE!r}."
    )
SHOP_TIME_ZONE = env.str("SHOP_TIME_ZONE", default="UTC")
if SHOP_TIME_ZONE not in available_timezones():
    raise ImproperlyConfigured(
        f"SHOP_TIME_ZONE must be a zone such as Europe/Berlin, not {SHOP_TIME_ZONE!r}."
    )
