"""The command line: `dreamfoundry COMMAND`, a module for each command.

main           the table of commands, and one way to end
command_line   help that teaches, exit codes
flags          kinds of flags and arguments, checked before anything starts
streams        standard output and standard error: closed, full, gone, or ASCII only

preview        one prompt -> one asset, here and now
make           text, CSV or JSONL -> a manifest
build          manifest -> library
submit         a build on a Ray cluster, with its true exit code
status         a library and its runs
verify         defects of a library
collect        chosen assets -> a folder for an engine, with its import script
gc             garbage of a library
doctor         can a store carry a library, and a machine optimise for it?
preflight      slots, memory and speed of a prior on a device
mirror         a prior -> S3

dev/           commands of those who work on dreamfoundry itself
"""
