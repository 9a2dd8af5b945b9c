"""`python -m tasks.report`: the stage alone."""

from tasks.core.command import stage_command
from tasks.report.config import ReportParams
from tasks.report.load import INPUTS
from tasks.report.stage import run

main = stage_command("report", ReportParams, run, inputs=INPUTS)

if __name__ == "__main__":
    main()
