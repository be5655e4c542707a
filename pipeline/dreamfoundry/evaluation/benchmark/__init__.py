"""Throughput of the main loop, against a loop in the shape of the research codes.

baseline      one prompt on its own, as the research codes optimise it
stopwatch     time of a step by part
measure       one loop under a stopwatch
ceilings      arithmetic and memory speed of a device, work of the prior
roofline      least time of a step: the prior's work at the pace of a device
operators     costliest operators of a step
step_cost     launches, copies and bytes of a step on a GPU, counted without one
measurements  what one process of the benchmark measures
children      those processes, alone and side by side
comparison    cases, rounds, ratios
plot          bars of a comparison
quality       both loops against the true toys
pictures      cost of pictures of a GLB
vae_gradients gradient of pictures through a VAE encoder, by precision
"""
