"""Quality and speed of the results. May use the true surfaces of the toys; no build may import it.

toys             prompts, rows and figures of an evaluation
measure_library  assets of a library measured against the true toys
metrics          F-score, kind and colour of a surface
statistics       intervals and paired differences
report           tables and plots of an evaluation
clip_score       R-Precision by a local CLIP
classifier       a reference: the prior, guided by a classifier of toys
ablation/        recipes compared on the toys
benchmark/       our loop against one in the shape of the research codes
delivery/        delivered assets checked by other programs
gpu_day/         blocks of a visit to a borrowed GPU machine
"""
