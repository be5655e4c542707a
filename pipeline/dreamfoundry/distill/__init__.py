"""Stages 2 and 3: from prompts and a prior to field snapshots.

loop                 the main loop: K slots, one call of the prior per step
slot                 one slot: its assignment, its running candidate, the result it leaves
lr_schedule          learning rates over the steps of a candidate
step_inputs          cameras, lights, backgrounds, noise and rates of one step, sampled before rendering
one_copy             the way of these from the host to a device
step_render          the pictures of one step
slot_adam            Adam for all slots at once
probes               mid-run evaluation of a field by its own prior
successive_halving   choice of the candidate that runs next, restarts included
candidate_events     log events of candidates: refused, started, chosen, pruned
checkpoint           the bytes of a slot's state
device               a device, tried before anything is loaded onto it
device_memory        what a device has, what was taken of it, and what is given back when it runs out
preflight            slots that fit on a device, and seconds of a run
"""
