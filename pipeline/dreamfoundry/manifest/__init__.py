"""Stage 1: from a Parquet table to checked prompts.

reader   whole files: digest, damaged pages, repeated rows, 32 bytes of memory a row
row      one row: columns, types, ranges, refusals
writer   text, CSV or JSONL -> a Parquet table
"""
