"""Text, CSV, TSV, JSON Lines and JSON that people and programs write, as rows of a manifest.

source      one source from its address to its rows
kinds       text, csv, tsv, jsonl, json, and the suffixes of their names
addresses   a path, s3://… or standard input -> bytes
decoding    bytes -> text in lines
text        one prompt a line
csv_table   a header and lines of cells: CSV, TSV, semicolons
json_rows   JSON Lines, or an array of objects
json_shapes JSON that is a table of another shape: wrapped, by columns, over several lines
columns     names of columns as they are written, and what is left aside
values      cells and JSON values -> values of the manifest, or the rule that they break
prompt_ids  names from the words of prompts; rows that repeat one another
reading     rows, faults and warnings of a source
"""
