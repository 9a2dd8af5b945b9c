"""Prefect's server behind the gate: what `prefect server start` runs in one process, with both UIs and all services.

It asks for the secret by itself: over HTTP, and in the first message of a WebSocket, where a browser can send no header.
"""

from infra.servers.gate import Gate
from infra.servers.serving import PREFECT_SECRET, read_serving


def main() -> None:
    """Serve until a signal ends it."""
    serving = read_serving(__doc__, PREFECT_SECRET)
    import uvicorn
    from prefect.server.api.server import create_app
    from prefect.settings import get_current_settings

    server = get_current_settings().server
    uvicorn.run(
        Gate(create_app(final=True), serving.names),
        host=serving.host,
        port=serving.port,
        timeout_keep_alive=server.api.keepalive_timeout,
        ws_ping_interval=server.api.websocket_ping_interval,
        ws_ping_timeout=server.api.websocket_ping_timeout,
        log_level=server.logging_level.lower(),
    )


if __name__ == "__main__":
    main()
