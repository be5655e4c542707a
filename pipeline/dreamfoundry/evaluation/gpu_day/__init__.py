"""Blocks of a visit to a borrowed GPU machine (`infra/gpu/day.py`), each a process of its own.

task      device, sizes, time and cases of a block
block     the process: one line of JSON for each case
facts     the machine, its ceilings, kernels or not
checks    the tests that need a GPU
speed     time and memory of a step: one step in detail, the table, switches
training  the toybox prior, trained until the time is over
parts     a folder as files of limited size
"""
