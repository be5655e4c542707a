"""An actor that prints without end, in a session of ours.

    python tests/chaos/flood.py NUM_LINES FOLDER

FOLDER is where TMPDIR points to. Prints, as JSON, the bytes that were printed, what is left of them
in Ray's logs, and by how much the driver has grown meanwhile.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from typing import Any

from dreamfoundry.run.ray.session import ray_session

LINE = "a library that has much to say about every step that it makes " * 2


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


def main() -> None:
    num_lines, folder = int(sys.argv[1]), Path(sys.argv[2])
    with ray_session(num_cpus=1):
        import ray

        class Talker:
            def talk(self, num_lines: int) -> None:
                for _ in range(num_lines):
                    print(LINE)

        talker: Any = ray.remote(num_cpus=1)(Talker).remote()
        ray.get(talker.talk.remote(1))
        before_mib = peak_mib()
        ray.get(talker.talk.remote(num_lines))
        kept = sum(path.stat().st_size for path in folder.glob("df-*/session_2*/logs/**/*") if path.is_file())
        figures = {
            "printed_bytes": num_lines * (len(LINE) + 1),
            "kept_bytes": kept,
            "driver_growth_mib": peak_mib() - before_mib,
        }
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
