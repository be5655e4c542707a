"""Fixtures, fakes, servers and programs that tests share. `tests` is on the path of tests and of what they start."""
