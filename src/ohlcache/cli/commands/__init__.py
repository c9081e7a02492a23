"""One module for each command; ``command`` is what the command line calls."""
