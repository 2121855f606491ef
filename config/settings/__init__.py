"""All settings, validated at import: a module each for what belongs together.

Values come from the environment, then from `.data/env`, which `make run` writes, so that `manage.py` reaches the same
engines as the running stack.
"""

# The first one reads the environment files; a setting is defined in one module only.
# ruff: isort: skip_file
from config.settings.base import *
from config.settings.nodes import *
from config.settings.engines import *
from config.settings.orders import *
from config.settings.live import *
from config.settings.providers import *
from config.settings.shop import *
from config.settings.celery import *
from config.settings.api import *
from config.settings.monitoring import *
from config.settings.security import *
from config.settings.sign_in import *
from config.settings.logs import *
