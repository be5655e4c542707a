"""Comparing recipes on the toys. Reads the true surfaces, so no build may import it.

suites    variants and the reason for each, from TOML
results   fields asked for, finished, and still to do
judging   one field against its true toy
figures   numbers with intervals
report    a page, a plot, a sheet of pictures
"""
