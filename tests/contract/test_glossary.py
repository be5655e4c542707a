"""No identifier uses a word that the glossary of docs/CONVENTIONS.md has in its column "not".

Identifiers are names that the code defines: functions, classes, parameters, variables, attributes. They are
compared part by part (`numLanes`, `free_lanes` and `LaneState` all have the part "lane"), plurals as their singular.
A word of the column that is the word of another line (`step` is no `timestep`, but it is a `step`) is free.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("pipeline", "jobs", "infra")

EVERYWHERE = {
    "row": "a line of a table: of the manifest, the catalog, a hash table, a report",
    "item": "an element of any JSON list or table",
    "sample": "a point along a ray, a draw from a distribution, a training example",
    "result": "what a function returns",
    "status": "the answer of HTTP, of a process or of a run",
    "index": "a position in a sequence",
    "log": "a logarithm, or the logging of the standard library",
    "record": "a JSON document of the library or of the run, a captured CUDA graph",
    "config": "one table of a recipe as a dataclass, or the settings of a library",
    "error": "an exception, or a difference from the truth",
    "output": "what a layer of a network computes, or the folder that a program writes",
}
"""Words with a meaning of their own in every room, and that meaning."""

IN_ROOMS = {
    "model": (
        ("asset/files", "diffusion", "distill/preflight", "evaluation", "toybox/training"),
        "a torch module, the line of memory over slots, the ModelAPI of USD",
    ),
    "object": (
        ("object_store", "errors", "manifest/row", "manifest/json_object", "run/ray"),
        "an object of S3, of JSON, of Ray's object store",
    ),
    "job": (("run/scheduling", "cli/submit"), "a field job, or a job of Ray"),
    "worker": (("run", "cli", "errors"), "a process of a run: distill worker, export worker"),
    "optimizer": (("evaluation", "toybox/training"), "Adam"),
    "volume": (("asset/surface", "asset/gates"), "cubic metres"),
    "mesh": (
        ("asset", "evaluation", "records", "kits"),
        "the arrays of a mesh: textured, colored, delivered; a StaticMesh",
    ),
    "mask": (
        ("asset/maps", "asset/surface", "diffusion/networks/text_encoder", "nerf/kernels"),
        "covered pixels, tokens, bits",
    ),
    "alpha": (("diffusion/lora",), "the scale of a LoRA, as its files name it"),
    "material": (
        ("asset/files", "asset/names", "asset/pictures", "evaluation/delivery", "kits"),
        "the material of glTF, USD and Blender",
    ),
    "fault": (("run", "host", "manifest", "errors"), "a failed call of a worker, a broken machine, a wrong cell"),
    "warning": (("manifest",), "a remark on a manifest, printed after the word 'warning'"),
    "pipe": (("asset/gates/browser",), "a pipe of the operating system to the browser"),
    "look": (("run/scheduling", "nerf/cameras", "settings/distillation"), "look-at of cameras, look-ahead of a queue"),
}
"""Words with a meaning of their own in some rooms: the rooms, and that meaning."""

NAMES = {
    "alphas_cumprod": "the name that diffusers gives the noise schedule",
    "optimizer_s": "a key of run reports",
    "T": "a type variable",
    "is_t5": "T5, the text encoder",
    "_spelling_t5_tokenizer": "T5, the text encoder",
    "_T5_XXL_WIDTH": "T5, the text encoder",
    "presets": "the folder of recipes that are delivered with the package",
    "_presets": "the folder of recipes that are delivered with the package",
    "questions": "docstrings that open with a question",
    "QUESTION_WORDS": "docstrings that open with a question",
}
"""Identifiers that are free although they have a refused word."""


def parts_of(name: str) -> tuple[str, ...]:
    """Lower-case parts of an identifier or of words of prose, each in the singular."""
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)
    return tuple(re.sub(r"(?<=\w\w[^su])s$", "", part.lower()) for part in parts)


def glossary() -> list[tuple[list[str], list[str]]]:
    """(words, refused words) of each line of the glossary."""
    text = (ROOT / "docs" / "CONVENTIONS.md").read_text(encoding="utf-8").partition("## Words")[2]
    lines = re.findall(r"^\| ([^|]+) \| [^|]+ \| ([^|]+) \|$", text, re.MULTILINE)[1:]
    return [([w.strip() for w in words.split(",")], [w.strip() for w in no.split(",")]) for words, no in lines]


@cache
def refused_words() -> dict[tuple[str, ...], str]:
    """Parts of each refused word, and the word to use instead."""
    own = {parts_of(word) for words, _ in glossary() for word in words}
    words = {
        parts_of(re.sub(r"\(.*\)", "", word)): " or ".join(instead)
        for instead, refused in glossary()
        for word in refused
    }
    return {parts: instead for parts, instead in words.items() if parts not in own}


def defined_names(source: str) -> Iterator[tuple[int, str]]:
    """Line and identifier of everything that a module defines."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.lineno, node.name
            case ast.arg():
                yield node.lineno, node.arg
            case ast.Name(ctx=ast.Store()):
                yield node.lineno, node.id
            case ast.Attribute(ctx=ast.Store()):
                yield node.lineno, node.attr
            case ast.ExceptHandler(name=str(name)) | ast.alias(asname=str(name)):
                yield node.lineno, name


def has_parts(name: tuple[str, ...], word: tuple[str, ...]) -> bool:
    return any(name[start : start + len(word)] == word for start in range(len(name) - len(word) + 1))


def is_free(word: str, room: str) -> bool:
    """True if `word` has a meaning of its own in `room`, a path without the package's folder."""
    rooms = IN_ROOMS[word][0] if word in IN_ROOMS else ()
    return word in EVERYWHERE or any(room.startswith((f"{prefix}/", f"{prefix}.")) for prefix in rooms)


def violations(path: str, source: str) -> list[str]:
    room = path.removeprefix("pipeline/dreamfoundry/")
    return [
        f"{path}:{line}: {name}: {' '.join(word)!r} is no word of ours; use {instead}"
        for line, name in defined_names(source)
        for word, instead in refused_words().items()
        if has_parts(parts_of(name), word) and name not in NAMES and not is_free(" ".join(word), room)
    ]


def modules() -> dict[str, str]:
    files = sorted(file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py"))
    return {file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8") for file in files}


def test_no_identifier_uses_a_word_that_the_glossary_refuses() -> None:
    found = [sentence for path, source in modules().items() for sentence in violations(path, source)]

    assert found == [], "\n".join(["", *found])


@pytest.mark.parametrize(
    "source",
    [
        "def take_look(): ...",
        "class RaceState: ...",
        "def f(num_attempts): ...",
        "self.lane = 1",
        "for openness in maps: ...",
        "import numpy as pipe",
        "lowPolySurfaces = 1",
    ],
)
def test_a_word_is_refused_wherever_a_name_is_defined(source: str) -> None:
    assert len(violations("pipeline/dreamfoundry/library/planted.py", source)) == 1


def test_a_homonym_is_free_in_its_rooms_only() -> None:
    assert violations("pipeline/dreamfoundry/asset/surface/planted.py", "volume = 1") == []
    assert len(violations("pipeline/dreamfoundry/nerf/planted.py", "volume = 1")) == 1


def test_every_exception_is_needed() -> None:
    """A homonym that no identifier uses any more in one of its rooms, or that no line refuses, is removed."""
    refused = {" ".join(word) for word in refused_words()}
    used = {
        (part, path.removeprefix("pipeline/dreamfoundry/"))
        for path, source in modules().items()
        for _, name in defined_names(source)
        for part in parts_of(name)
    }
    names = {name for source in modules().values() for _, name in defined_names(source)}
    idle = [word for word in (*EVERYWHERE, *IN_ROOMS) if word not in refused]
    idle += [word for word in EVERYWHERE if not any(part == word for part, _ in used)]
    idle += [
        f"{word} in {room}"
        for word, (rooms, _) in IN_ROOMS.items()
        for room in rooms
        if not any(part == word and path.startswith((f"{room}/", f"{room}.")) for part, path in used)
    ]
    idle += [name for name in NAMES if name not in names]

    assert idle == []
