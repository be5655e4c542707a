"""The scheduler of a run: events in, commands out. Pure: no Ray, no store, no clock of its own.

scheduler     the state machine: events in, commands out
backlog       open builds, their fields, the queues
field_job     one field with its builds
ports         sizes of a run, connections to the world
dispatch      the next command of each worker
supervision   workers that die, hang or fail: the rules of blame
slot_filling  fields for the free slots of a distiller
worker_pool   the places for processes and their contents
completion    how builds end: charged, quarantined, decided, left to others
run_stats     counts, steps, seconds
timeouts      time limits of a run
"""
