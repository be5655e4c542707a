"""Checks of assets as they were delivered: digests, validators, and imports in other programs.

check           every asset of a library against its sidecar and its outcome
readers         three.js, the Open Asset Import Library, Blender
disagreements   their imports compared with the sidecars
summary         figures by export profile
workmanship     what an art lead looks at first, measured in the files
before          the same figures of an earlier version, beside those of now
measures        titles and formats of the figures
report          Markdown page and contact sheet
blender_import  the script that Blender's own Python runs
toys.txt        the prompts of `make assets-check`
"""
