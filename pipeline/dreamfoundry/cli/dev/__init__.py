"""`dreamfoundry dev`: training, measuring and checking. Each module is one command, and a program in jobs/.

evaluate        a library of toys, measured against the true ones
ablation        recipes compared on the toys
bench           assets per hour against the shape of the research codes
bench_child     one measurement of it, in a process of its own
bench_pictures  cost of the pictures of a GLB
bench_quality   quality of both loops
bench_vae       gradient of pictures through a VAE in half precisions
check           a delivered library by other programs
importers       one folder of assets, imported by other programs
train           the bundled prior
"""
