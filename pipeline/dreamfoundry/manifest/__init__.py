"""Stage 1: from a Parquet table to checked prompts.

reader      whole files: digest, damaged pages, repeated rows, 32 bytes of memory a row
row         one row: columns, types, ranges, refusals
file_kinds  what a file is that is no manifest and no source of one
writer      text, CSV, JSON -> a Parquet table
"""
