"""The command line: `dreamfoundry COMMAND`, a module for each command.

main           the table of commands, and one way to end
command_line   help that teaches, kinds of flags, exit codes
make           text, CSV or JSONL -> a manifest
"""
