"""Recipes compared on the toys.

suites     variants of a recipe, from TOML
bundled/   the suites of this project
results    requested, finished and missing fields
worker     optimise one group of fields in a process
field_row  one field compared with the true toy
figures    figures of variants with intervals
report     page, plot and sheet
runner     run a suite and write its pages

Like the rest of evaluation it reads the true surfaces, so no build may import it.
"""
