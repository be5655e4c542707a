"""Before anything starts: the manifest is checked, and its rows become builds.

intake        from request to facts: manifest copied and checked, library opened, work planned
prompt_check  words outside of the prior's vocabulary, refused
resolution    a prompt -> its recipe, its profile and its keys
plan          rows -> builds: existing assets, shared fields, the most urgent first
dry_run       a forecast instead of a run: rows, work, hours, money
pace          seconds of a step and of an export, as in earlier runs
row_list      the rows that become no asset, as CSV
"""
