"""What the two local servers are started with: where they listen, by which names they are asked, and for which secret."""

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

from infra.servers.gate import own_names

# The variables that a server reads its secret from.
PREFECT_SECRET = "PREFECT_SERVER_API_AUTH_STRING"  # noqa: S105 (a name)
MLFLOW_SECRET = "MIXWRIGHT_MLFLOW_SECRET"  # noqa: S105 (a name)


@dataclass(frozen=True)
class Serving:
    """The command line of a server. `secret` is `user:password`, or None where it is open to everybody."""

    host: str
    port: int
    folder: Path
    names: frozenset[str]
    secret: str | None


def read_serving(description: str | None, secret_variable: str) -> Serving:
    """Read the command line; the secret comes from the environment, where no other user can read it.

    A server without a secret starts only if it is told to be open.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True, help="Where its database is.")
    parser.add_argument("--allow", action="append", default=[], metavar="HOST[:PORT]", help="Another value of Host.")
    parser.add_argument("--open", action="store_true", help="Ask for no secret.")
    given = parser.parse_args()
    secret = None if given.open else os.environ.get(secret_variable)
    if not given.open and not secret:
        parser.error(f"{secret_variable} is not set: without a secret this server starts only with --open")
    return Serving(given.host, given.port, given.folder, own_names(given.host, given.port, given.allow), secret)
