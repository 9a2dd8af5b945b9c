"""Stage logic: pure modules, and for each stage one driver, one Prefect task and one command."""
