"""The `ocpy` command: one file per subcommand. The only place that wires concrete classes together."""
