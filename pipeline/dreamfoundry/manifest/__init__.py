"""Stage 1: from a Parquet table to checked prompts.

private_copy  a manifest as it was when the run began
reader        scan and read_prompts: the whole manifest, checked; 32 bytes of memory a row
report        the books: read + bad + lost + repeated + in conflict = promised
parts         which files are parts of it, their footers and columns
footer        what the footer of a Parquet file counts
rows          row groups -> batches of plain values, and what is lost
columns       types that are read, and their values without any conversion that loses something
bounds        how much of everything
repetitions   rows that repeat, conflict with or nearly equal another
row           one row: columns, ranges, refusals
heights       typical heights of what prompts are about, where a row names none
text          characters that no text may have
json_object   JSON objects in cells
file_kinds    what a file is that is no manifest and no source of one
diagnosis     what is wrong with a file that cannot be opened as Parquet
writer        sources of prompts -> a Parquet table
sources       text, CSV, TSV, JSON Lines, JSON -> rows
"""
