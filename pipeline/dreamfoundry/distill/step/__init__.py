"""One step of all slots, but for the prior.

inputs       cameras, lights, backgrounds, noise and rates, sampled before rendering
one_copy     the way of these from the host to a device
render       pictures and regularisers
slot_adam    Adam for all slots at once
field_step   these in their order, up to the pictures and from their gradient on
replay       the same, recorded once and replayed
"""
