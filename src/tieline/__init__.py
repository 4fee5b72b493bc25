"""Tieline: self-hosted project integrations that speak the Upsun API."""

from typing import Final

__version__: Final = "0.1.0"
