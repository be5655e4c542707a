"""Triton kernels for CUDA, each with plain torch code as its twin, which defines what it computes.

The twin is what runs on the CPU, and on CUDA where kernels cannot be built (`availability`). Only
modules of this folder import triton, so only what is taken needs it. Kernels carry
`@no_type_check`: their arguments are pointers, which runtime checkers of shapes must not touch.

    availability    the choice between kernel and twin; `probe` is the smallest kernel, built to find out
    hash_encoding   hash_grid.HashGrid      all slots and levels in one launch, atomic additions backward
    compositing     render.accumulate       from density and albedo to what the rays see, in one pass
    slot_adam       distill.step.slot_adam       one pass over parameter, moments and gradient
    launch          the launch of each, and what stands for it where steps are counted
"""
