"""The Python client of the service: ``from olad import Client, AsyncClient, UpsertNode``."""

from service.client import *  # noqa: F403
from service.client import __all__ as __all__
