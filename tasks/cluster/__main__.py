"""`python -m tasks.cluster`: the cluster stage on its own."""

from tasks.cluster.config import ClusterParams
from tasks.cluster.stage import run
from tasks.core.command import stage_command

main = stage_command("cluster", ClusterParams, run, inputs=("curate",))

if __name__ == "__main__":
    main()
