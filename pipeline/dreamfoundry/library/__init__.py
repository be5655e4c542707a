"""Stages 8 and 9: the library, outcomes, leases and checkpoints in an object store, and the projections of outcomes.

library         blobs, ONE outcome per asset key
views           named views of outcomes, and pointers to the latest
leases          the owner of each field at work, with counters that outlive every process
checkpoints     the last two of each field in mid-optimisation
garbage         blobs that nothing names any more, removed through a trash
record_json     records as canonical JSON
rows            records of manifests' rows: aliases, tags and priority, bad rows that were mended
lost_rows       rows of the last manifest that could not be read
entries         every outcome under every prompt id, sorted, on the disk
projections     views, pointers, catalog and contact sheet from outcomes
catalog         the table of outcomes
contact_sheet   the library as a web page
keys            keys of outcomes, made again from their requests
audit           a proof that a library is what it says
store_check     a proof that a store is fit for a library
"""
