"""MLflow's server behind the gate: what `mlflow server --workers 1` runs, in this process and without a parent.

Artifacts go through the server into its own folder. A client may name no other place: the server would read it for him.
"""

import os
import uuid
from typing import TYPE_CHECKING

# Before MLflow: it sets up its own checks only where it finds a server.
import uvicorn

from infra.servers.gate import Gate
from infra.servers.serving import MLFLOW_SECRET, Serving, read_serving

if TYPE_CHECKING:
    from flask import Flask, Response

ROOT = "mlflow-artifacts:/"


def main() -> None:
    """Serve until a signal ends it."""
    serving = read_serving(__doc__, MLFLOW_SECRET)
    os.environ.update(_environment(serving))
    from mlflow.server import app, handlers

    database = f"sqlite:///{serving.folder / 'mlflow.db'}"
    handlers.initialize_backend_stores(database, database, ROOT)
    refuse_foreign_artifacts(app)
    from mlflow.server.fastapi_app import app as served

    gate = Gate(served, serving.names, serving.secret, open_paths=frozenset({"/health"}))
    uvicorn.run(gate, host=serving.host, port=serving.port, log_level="warning")


def refuse_foreign_artifacts(app: "Flask") -> None:
    """Refuse experiments whose artifacts are to lie elsewhere than in the server's own folder."""
    from flask import Response, request
    from mlflow.protos.service_pb2 import CreateExperiment
    from mlflow.server.handlers import _get_request_message

    def check() -> "Response | None":
        if request.endpoint != "_create_experiment":
            return None
        # Read as MLflow itself reads it: it knows several spellings.
        place = _get_request_message(CreateExperiment()).artifact_location  # type: ignore[no-untyped-call]
        if not place or (place.startswith(ROOT) and not place.startswith(f"{ROOT}/") and ".." not in place):
            return None
        reason = (
            f"artifact_location: this server keeps artifacts in its own folder. Leave it out, or begin it with {ROOT}"
        )
        return Response(
            f'{{"error_code": "INVALID_PARAMETER_VALUE", "message": "{reason}"}}', 400, mimetype="application/json"
        )

    app.before_request(check)


def _environment(serving: Serving) -> dict[str, str]:
    """Return what `mlflow server` tells its workers."""
    from mlflow.server import constants

    database = f"sqlite:///{serving.folder / 'mlflow.db'}"
    return {
        constants.BACKEND_STORE_URI_ENV_VAR: database,
        constants.REGISTRY_STORE_URI_ENV_VAR: database,
        constants.ARTIFACT_ROOT_ENV_VAR: ROOT,
        constants.SERVE_ARTIFACTS_ENV_VAR: "true",
        constants.ARTIFACTS_DESTINATION_ENV_VAR: str(serving.folder / "artifacts"),
        "_MLFLOW_SGI_NAME": "uvicorn",
        "_MLFLOW_SERVER_BOOT_ID": uuid.uuid4().hex,
        "_MLFLOW_IN_JOB_EXECUTOR": "false",
    }


if __name__ == "__main__":
    main()
