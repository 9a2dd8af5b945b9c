"""`python -m tasks.curate`: the stage from the command line."""

from tasks.core.command import stage_command
from tasks.curate.config import CurateParams
from tasks.curate.stage import run

main = stage_command("curate", CurateParams, run, inputs=("ingest",))

if __name__ == "__main__":
    main()
