"""Distiller and exporter: what a worker process does, without Ray.

distiller           prior + slots -> field snapshots in the store
checkpoint_writer   when fields are saved, and where they go on
exporter            snapshot -> files -> one outcome
export_process      the stages of an export, in a child that can be killed
local               both in this process, for debugging
preview             one prompt to files in this process, without a library
"""
