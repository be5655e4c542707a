"""Speed of an asset, against a loop in the shape of the research codes.

baseline    that loop
measure     a stopwatch for it and for ours
stopwatch   the parts of a step: prior, Adam, field and renderer
ceilings    the peak rates of the device
operators   the operators that a step spends its time in
"""
