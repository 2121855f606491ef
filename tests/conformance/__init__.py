"""What every payment gateway has to do, as tests: see `suite.GatewayConformance`."""

from tests.conformance.rig import Rig, Tokens
from tests.conformance.suite import GatewayConformance

__all__ = ["GatewayConformance", "Rig", "Tokens"]
