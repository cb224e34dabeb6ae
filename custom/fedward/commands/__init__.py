"""One file a command of the fedward command line."""
