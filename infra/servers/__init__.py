"""Local servers: start (`up`), stop (`down`), look (`status`), and check the machine (`doctor`)."""

from infra.servers.checks import Check, doctor
from infra.servers.environment import apply_client_environment, client_environment, user_environment
from infra.servers.lifecycle import ServersStatus, ServiceStatus, down, require_ready, status, up
from infra.servers.services import WORK_POOL

__all__ = [
    "WORK_POOL",
    "Check",
    "ServersStatus",
    "ServiceStatus",
    "apply_client_environment",
    "client_environment",
    "doctor",
    "down",
    "require_ready",
    "status",
    "up",
    "user_environment",
]
