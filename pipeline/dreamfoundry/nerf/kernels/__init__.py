"""Triton kernels for CUDA, each with plain torch code as its twin, which defines what it computes.

The twin is what runs on the CPU, and on CUDA where kernels cannot be built (`choice`). Only
modules of this folder import triton, so only what is taken needs it. Kernels carry
`@no_type_check`: their arguments are pointers, which runtime checkers of shapes must not touch.

    hash_encoding   hash_grid.HashGrid      all slots and levels in one launch, atomic additions backward
    compositing     render.accumulate       from density and albedo to what the rays see, in one pass
    slot_adam       adam.SlotAdam           one pass over parameter, moments and gradient
"""
