"""Import GLB files in Blender, by an interpreter that has bpy and not this package."""

import runpy
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "pipeline/dreamfoundry/evaluation/delivery/blender_import.py"

if __name__ == "__main__":
    runpy.run_path(str(SCRIPT), run_name="__main__")
