"""Library: outcomes, leases and checkpoints in an object store, and the projections of outcomes.

library         blobs, ONE outcome per asset key, named views
leases          who works on which key, with counters that survive everybody
checkpoints     the last two of each field in mid-optimisation
garbage         what nothing names any more, taken away through a trash
record_json     records as canonical JSON
rows            records of manifests' rows: aliases, tags and priority, bad rows that were mended
lost_rows       rows of the last manifest that could not be read
entries         every outcome under every prompt id, sorted, on the disk
file_roles      what each delivered file is for
projections     views, pointers, catalog and contact sheet from outcomes
catalog         the table of outcomes
contact_sheet   the library as a web page
audit           is a library what it says?
store_check     is a store fit for a library?
"""
