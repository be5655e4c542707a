"""Make one asset from one prompt, here and now: no manifest, no library, no Ray.

examples:
  dreamfoundry preview "a red mushroom"
  dreamfoundry preview "a blue rocket" --seed 7 --output out/rocket
  dreamfoundry preview "a red mushroom" --profile game_prop --set optimize.num_steps=400
  dreamfoundry preview "a stone well" --recipe my.toml --device cuda

Takes half a minute for a toy on two CPU cores. The files are those of a build with the same prompt, seed,
recipe and profile (`asset.json` has other provenance), in one folder. The last two lines name the GLB and the picture.
An earlier preview stays: the next one of a prompt is in preview/a_red_mushroom-2, unless --output names a folder.

exit codes:
   0  the asset is written
   1  the weights cannot be used, or a bug
   3  the prompt came to nothing; one line says why
   4  the prompt, the recipe or the command line cannot be used; nothing was started
  75  stopped with Ctrl-C
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from dreamfoundry.cli.command_line import command_app
from dreamfoundry.cli.flags import Device, OutputFolder, ProfileName, RecipeChanges, RecipeName, Seed
from dreamfoundry.errors import ConfigError, PromptFailure, RowError
from dreamfoundry.host.cpu_environment import CPU_ENVIRONMENT, restart_with
from dreamfoundry.run.display import Display, duration, open_display
from dreamfoundry.run.exit_codes import EXIT_CODES
from dreamfoundry.settings.export_profiles import DEFAULT_PROFILE
from dreamfoundry.settings.loading import resolve_profile, resolve_recipe

if TYPE_CHECKING:
    from dreamfoundry.records import Prompt
    from dreamfoundry.run.workers.preview import PreviewStatus
    from dreamfoundry.settings.recipe import Recipe

PLAIN_INTERVAL_S = 10.0

ENVIRONMENT = {**CPU_ENVIRONMENT, "TQDM_DISABLE": "1"}
"""Fast steps on a CPU, and no second progress bar from the libraries that load the weights."""

PHASES = {"load": "loading the prior", "distil": "distilling", "export": "exporting"}

FOLDER_HELP = "folder of the files; those in it are replaced [default: a new one, preview/<prompt>]"

app = command_app("preview", __doc__)


@app.default
def preview(
    prompt: Annotated[str, Parameter(help='what to make, as in "a red mushroom"')],
    /,
    *,
    output: Annotated[
        OutputFolder | None,
        Parameter(help=FOLDER_HELP),
    ] = None,
    recipe: RecipeName = "toybox",
    changes: RecipeChanges = [],  # noqa: B006 (only read)
    profile: ProfileName = DEFAULT_PROFILE,
    seed: Annotated[Seed, Parameter(help="another seed gives another asset")] = 0,
    device: Device = "cpu",
) -> int:
    """Distil, export, write the files, and name the GLB and the picture."""
    resolved, budget = resolve_recipe(recipe, changes), resolve_profile(profile)
    checked = checked_prompt(prompt, seed, resolved)
    restart_with(ENVIRONMENT)

    started_s = time.monotonic()
    display = open_display(sys.stderr, PLAIN_INTERVAL_S)
    display.show(None, "loading the libraries", at_once=True)
    from dreamfoundry.run.workers.preview import PreviewRequest, make_preview  # brings torch, in seconds

    try:
        files = make_preview(PreviewRequest(checked, resolved, budget, device), _Narrator(display).show)
    except PromptFailure as failure:
        print(f"no asset: {failure.failure_class}: {failure}", file=sys.stderr)
        return EXIT_CODES["partial"]
    finally:
        display.close()

    folder = output or unused_folder(Path("preview") / Path(files.glb).stem)
    num_replaced = write_files(folder, files.contents)
    replaced = f", {num_replaced} earlier ones replaced" if num_replaced else ""
    print(f"{len(files.contents)} files in {time.monotonic() - started_s:.0f} s{replaced}")
    print(f"asset    {folder / files.glb}")
    print(f"picture  {folder / files.picture}")
    return EXIT_CODES["complete"]


def unused_folder(folder: Path) -> Path:
    """`folder` if nothing is there yet, else the first of `folder`-2, `folder`-3 … that is not."""
    numbered = (folder.with_name(f"{folder.name}-{number}") for number in count(2))
    return next(path for path in chain([folder], numbered) if not path.exists())


def write_files(folder: Path, contents: Mapping[str, bytes]) -> int:
    """Write all files into `folder`, which is made where it is absent; the number of those that were there before."""
    folder.mkdir(parents=True, exist_ok=True)
    num_replaced = sum((folder / name).exists() for name in contents)
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    return num_replaced


def checked_prompt(text: str, seed: int, recipe: Recipe) -> Prompt:
    """The prompt under the rules of a manifest; ConfigError names the rule, and the words that the prior knows."""
    from dreamfoundry.manifest.row import prompt_from_row  # brings Arrow
    from dreamfoundry.run.planning.prompt_check import vocabulary_check

    try:
        values = {"prompt_id": b"preview", "prompt": _typed_bytes(text), "seed": seed}
        prompt = prompt_from_row(values, 0, recipe)
    except RowError as error:
        raise ConfigError(str(error).partition(": ")[2]) from None  # no row and no id: there is one prompt

    check = vocabulary_check(recipe.prior)
    reason = check(prompt) if check is not None else None
    if check is not None and reason:
        raise ConfigError(f"{prompt.text!r}: {reason}\n{check.hint}")
    return prompt


def _typed_bytes(text: str) -> bytes:
    """A word of the command line as it was typed: where the locale is ASCII, Python has made escapes of its bytes."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape")


class _Narrator:
    """Turns the status of a preview into words and a share of the steps."""

    def __init__(self, display: Display) -> None:
        self._display = display
        self._phase = ""
        self._phase_began_s = 0.0

    def show(self, status: PreviewStatus) -> None:
        """Display `status`; the beginning of a phase at once, steps when they are due."""
        is_new = status.phase != self._phase
        if is_new:
            self._phase, self._phase_began_s = status.phase, time.monotonic()
        if status.phase != "distil":
            self._display.show(None, f"{PHASES[status.phase]} {status.stage}".strip(), at_once=is_new)
            return

        total = status.steps_done + status.steps_left
        text = f"{PHASES[status.phase]}: step {status.steps_done}/{total}"
        if status.steps_done:
            step_s = (time.monotonic() - self._phase_began_s) / status.steps_done
            text += f" · ETA {duration(step_s * status.steps_left)}"
        self._display.show(status.steps_done / max(1, total), text, at_once=is_new)
