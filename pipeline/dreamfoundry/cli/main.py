"""The command `dreamfoundry`: one table of commands, one way to end.

A command is a module of this folder with `app`, and is imported when it is called: `dreamfoundry --help`
loads neither torch nor Ray nor Arrow. The programs in jobs/ call `main` with the name of theirs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from cyclopts import App, CycloptsError, MissingArgumentError, UnusedCliTokensError
from rich.console import Console

from dreamfoundry import __version__
from dreamfoundry.cli.command_line import HELP_FORMAT, help_formatter, report_errors
from dreamfoundry.cli.flags import DEFAULTS
from dreamfoundry.cli.streams import OUTPUT, open_streams
from dreamfoundry.errors import ConfigError
from dreamfoundry.run.exit_codes import EXIT_CODES

PLAIN_WIDTH = 120
"""Columns of help that goes to a file or a pipe."""

ABOUT = """Text to published 3D assets, without 3D data.

examples:
  dreamfoundry preview "a red mushroom"
  dreamfoundry make prompts.txt prompts.parquet
  dreamfoundry build prompts.parquet out/library
  dreamfoundry COMMAND --help"""

EXIT_TABLE = """exit codes (a command says what it adds):
   0  done; every row is published
   1  infrastructure (a store, weights, workers) or a bug
   3  done, but some rows are quarantined or lost
   4  the manifest, the recipe or the command line cannot be used; nothing was started
  75  stopped on request, or another run has the rest: run again"""

COMMANDS = {
    "preview": "Make one asset from one prompt, here and now: no manifest, no library, no Ray.",
    "make": "Make a manifest from lines of text, CSV, TSV, JSON Lines or JSON.",
    "build": "Build a library of 3D assets from a Parquet manifest of prompts.",
    "status": "Say how a library stands, from the library alone: works when the cluster is gone.",
    "verify": "Check that a library is whole: every outcome, every blob, every record, every named view.",
    "collect": "Copy chosen assets into a folder as an engine wants them, with a script that imports them.",
    "gc": "Find what a library no longer needs, and remove it on request.",
    "doctor": "Say whether a store can carry a library and a machine optimise it, before a night is spent on them.",
    "preflight": "Load a prior on a device: how many slots fit, how long a step takes, what a night makes.",
    "mirror": "Copy a prior to S3, from where every worker fetches it.",
    "submit": "Submit a run to a Ray cluster, follow it, and exit with its true exit code.",
}
"""Name of a module in this folder -> first line of its docstring."""

DEV_COMMANDS = {
    "evaluate": "Build a set of toybox prompts and measure the results against the true toys.",
    "ablation": "Compare variants of a recipe on toys, suite by suite: fields and surfaces only.",
    "bench": "Measure assets per hour on this machine, against a loop in the shape of the research codes.",
    "bench_quality": "Compare the quality of the fast loop with that of the benchmark's baseline.",
    "bench_pictures": "Measure the cost of pictures of a GLB in every available way, in seconds of CPU.",
    "bench_vae": "Compare the gradient through a prior's VAE encoder in half precisions with the exact one.",
    "bench_child": "One measurement of `dreamfoundry dev bench`, in a process of its own; prints one line of JSON.",
    "check": "Check every asset of a library as it was delivered, and write down how good the assets are.",
    "importers": "Open delivered assets in the programs of others, and compare what these import with the sidecar.",
    "train": "Train the bundled toybox prior on renders of procedural toys.",
}
"""Name of a module in `dev` -> first line of its docstring."""


def _app() -> App:
    """All commands, none of them imported yet."""
    app = App(
        name="dreamfoundry",
        help=ABOUT,
        help_epilogue=EXIT_TABLE,
        help_format=HELP_FORMAT,
        help_formatter=help_formatter(sys.stdout),
        version=__version__,
        default_parameter=DEFAULTS,
        suppress_keyboard_interrupt=False,  # `report_errors` knows the exit code of a stop
    )
    for name, summary in COMMANDS.items():
        app.command(f"dreamfoundry.cli.{name}:app", name=name, help=summary)

    dev = App(name="dev", help="Measure, compare and train: for those who work on dreamfoundry itself.")
    for name, summary in DEV_COMMANDS.items():
        dev.command(f"dreamfoundry.cli.dev.{name}:app", name=name.replace("_", "-"), help=summary)
    app.command(dev)

    app.register_install_completion_command(help="Install completion of commands and flags for this shell.")
    return app


def run(tokens: Sequence[str]) -> int:
    """Carry out one command line, without the name of the program; the exit code."""
    app = _app()
    console = None if sys.stdout.isatty() else Console(width=PLAIN_WIDTH)

    def call() -> int:
        result = app(tokens, console=console, exit_on_error=False, print_error=False, result_action="return_value")
        return result if isinstance(result, int) else EXIT_CODES["complete"]

    try:
        return report_errors(_installing(call) if "--install-completion" in tokens[:1] else call)
    except CycloptsError as error:
        names = [name for name in (error.command_chain or ()) if not name.startswith("-")]
        command = " ".join(["dreamfoundry", *names])
        print(f"error: {_words(error, tokens)}\ntry: {command} --help", file=sys.stderr)
        return EXIT_CODES["refused"]


def _installing(call: Callable[[], int]) -> Callable[[], int]:
    """`call`, which writes into the home of the caller; ConfigError where that is no place for it."""

    def install() -> int:
        try:
            return call()
        except OSError as error:
            if error.filename in (None, OUTPUT):
                raise
            place = f"{error.filename}: {error.strerror}; HOME is {os.environ.get('HOME', '')!r}"
            remedy = "set it to a folder that you may write to, or name a file with --output"
            raise ConfigError(f"{place}: {remedy}") from None

    return install


def _words(error: CycloptsError, tokens: Sequence[str]) -> str:
    """The fault of a command line, and the words that were probably meant where words are left over."""
    if isinstance(error, MissingArgumentError) and error.argument is not None and error.argument.name[:1] != "-":
        return f"{error.argument.name} is missing"
    if not isinstance(error, UnusedCliTokensError) or not error.unused_tokens:
        return str(error)
    unused = list(error.unused_tokens)
    found = (at for at in range(1, len(tokens)) if list(tokens[at : at + len(unused)]) == unused)
    words = " ".join([tokens[at - 1], *unused]) if (at := next(found, None)) is not None else " ".join(unused)
    left = f"{' '.join(unused)!r}: more words than this command takes"
    return f'{left}; a text of several words is put into quotes: "{words}"'


def main(*command: str) -> int:
    """Entry point of the console script, of `python -m dreamfoundry`, and of a program for one `command`."""
    open_streams()
    try:
        os.getcwd()
    except FileNotFoundError:
        print("error: the current folder does not exist any more: change to another one", file=sys.stderr)
        return EXIT_CODES["refused"]
    return run([*command, *sys.argv[1:]])
