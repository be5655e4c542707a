"""Say whether a store can carry a library and a machine optimise it, before a night is spent on them.

examples:
  dreamfoundry doctor s3://bucket/library
  dreamfoundry doctor /mnt/assets/library --device cuda

Tries out on the spot what a run needs: conditional writes, digests, complete listings, names, rights, the
clock. One line for each: ok, not ok with the remedy, or a note that a run can live with. Works with the
credentials that it finds, so use those of the run. Leaves nothing behind. With --device cuda it also tries this
machine's driver, its GPU with one tensor, and whether the kernels can be built.

exit codes:
   0  the store, and the device that was named, can be used
   1  one of them cannot; the lines that begin with "not ok" say why
   4  the command line cannot be used
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dreamfoundry.cli.command_line import command_app
from dreamfoundry.cli.flags import Device, LibraryUrl
from dreamfoundry.errors import DeviceUnavailable
from dreamfoundry.host.nvidia import driver_fault, driver_version
from dreamfoundry.run.exit_codes import EXIT_CODES

if TYPE_CHECKING:
    from dreamfoundry.library.store_check import Verdict

app = command_app("doctor", __doc__)


@app.default
def doctor(library: LibraryUrl, /, *, device: Device | None = None) -> int:
    """Print a line for each trial and the verdict."""
    from dreamfoundry.library.store_check import examine
    from dreamfoundry.object_store.open import open_store

    with _place_of(library) as place:
        is_fit = _print_all(examine(open_store(place)))
    print(f"{library} {'can' if is_fit else 'cannot'} carry a library")
    if device is None:
        return EXIT_CODES["complete" if is_fit else "failed"]

    can_compute = _print_all(_examine_device(device))
    print(f"{device} {'can' if can_compute else 'cannot'} be used on this machine")
    return EXIT_CODES["complete" if is_fit and can_compute else "failed"]


def _print_all(verdicts: Iterable[Verdict]) -> bool:
    """Print each verdict as it comes; True if there is none against."""
    marks = set()
    for verdict in verdicts:
        marks.add(verdict.mark)
        print(f"{verdict.mark:6}  {verdict.name}: {verdict.words}", flush=True)
    return "not ok" not in marks


def _examine_device(device: str) -> Iterator[Verdict]:
    """Driver, one tensor, one kernel; kernels that cannot be built are a note, since plain torch code serves too."""
    import torch

    from dreamfoundry.distill.device import try_device
    from dreamfoundry.library.store_check import Verdict

    is_cuda = torch.device(device).type == "cuda"
    if is_cuda:
        driver, cuda = driver_version(), torch.version.cuda
        obstacle = driver_fault(driver, cuda)
        yield Verdict(
            "not ok" if obstacle else "ok", "driver", obstacle or f"{driver} serves a torch built for CUDA {cuda}"
        )

    try:
        kernels = try_device(device)
    except DeviceUnavailable as error:
        yield Verdict("not ok", "device", str(error))
        return
    yield Verdict("ok", "device", f"{torch.cuda.get_device_name(device) if is_cuda else 'the CPU'} computes")
    yield Verdict("note" if is_cuda and kernels.startswith("none") else "ok", "kernels", kernels)


@contextmanager
def _place_of(library: str) -> Iterator[str]:
    """The place to try `library` out: itself, or for a folder that holds none yet a passing one on the same disk."""
    root = Path(library).expanduser()
    if "://" in library or not library.strip() or (root.is_dir() and any(root.iterdir())):
        yield library
        return

    above = next(path for path in (root, *root.absolute().parents) if path.exists())
    try:
        folder = tempfile.TemporaryDirectory(dir=above, prefix=".dreamfoundry-")
    except OSError:
        yield library  # its own error says why nothing can be made there
        return
    with folder as name:
        yield name
