"""The command line.

command_line   help with examples, and the exit codes that every program shares
"""
