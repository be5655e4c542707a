"""Who does what next: events in, commands out. Pure: no Ray, no store, no clock of its own.

scheduler     the state machine
backlog       builds that have not ended, their fields, the queues
field_job     one field with its builds
worker_pool   the places for processes and what is in them
completion    how builds end: charged, quarantined, decided, left to others
run_stats     counts, steps, seconds
timeouts      how long a run waits for what
"""
