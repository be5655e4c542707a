"""How fast an asset is made, against a loop in the shape of the research codes.

`baseline` is that loop, `measure` puts a stopwatch to it and to ours, `ceilings` says what the
device can do at all. `jobs/benchmark.py` is the program.
"""
