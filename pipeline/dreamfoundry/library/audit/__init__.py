"""A proof that a library is what it says, and what can be done where it is not.

audit            every outcome, blob, record and projection, looked at once
defects          one thing that is wrong, and its kind
named_blobs      the blobs that records name, on the disk
small_records    rows, leases, checkpoints and runs
projection_check views, pointers, catalog and page against the outcomes
repair           what can be mended of the defects that were found
"""
