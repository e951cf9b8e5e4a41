"""The command line: one file a command. Nothing else exits or prints."""
