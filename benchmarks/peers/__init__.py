"""Scripts for the interpreter of the peers' environment: they import nothing of ours. The last line says JSON."""
