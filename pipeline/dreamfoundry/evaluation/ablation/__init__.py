"""Comparing recipes on the toys: suites of variants, judged surfaces, figures with intervals, a report.

Like evaluation it reads the true surfaces, so no build may import it. `jobs/ablation.py` is the loop.
"""
