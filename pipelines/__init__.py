"""Input and output at the edge: one module per DVC stage, and the `retention` command."""
