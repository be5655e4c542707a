"""Stages 2 and 3: from prompts and a prior to field snapshots.

loop                 the main loop: K slots, one call of the prior per step
slot                 one slot: its assignment, its running candidate, the result it leaves
step                 one step of all slots, but for the prior
lr_schedule          learning rates over the steps of a candidate
probes               mid-run evaluation of a field by its own prior
successive_halving   choice of the candidate that runs next, restarts included
candidate_events     log events of candidates: refused, started, chosen, pruned
checkpoint           the bytes of a slot's state
device               a device, tried before anything is loaded onto it
device_memory        what a device has, what was taken of it, and what is given back when it runs out
preflight            slots that fit on a device, and seconds of a run
"""
