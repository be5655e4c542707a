"""This machine: its processes, its faults and its environment. Knows nothing of assets.

child_process     children that find this package and do not outlive their parent
nodejs            bundled Node programs, run to their end
faults            disk-full and file-limit errors, told from bugs
nvidia            the driver of the GPU, and the one that CUDA needs
log_events        one line of JSON per event, through the standard logging
cpu_environment   allocator and thread variables for workers on a CPU
"""
