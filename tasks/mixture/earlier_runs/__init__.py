"""Earlier runs: what the table of an older search gives to a new one."""
