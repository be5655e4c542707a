"""The figures of the code (infra/figures.py) against a package small enough to count by hand."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def measured(root: Path) -> dict[str, str]:
    command = [sys.executable, str(ROOT / "infra" / "figures.py"), str(root)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {line[:38].strip(): line[38:] for line in printed.splitlines()}


def package(root: Path, **sources: str) -> Path:
    (root / "__init__.py").parent.mkdir(parents=True)
    for name, source in {"__init__": "def open(): ...\ndef close(): ...\n", **sources}.items():
        path = root / f"{name.replace('__', '/')}.py" if name != "__init__" else root / "__init__.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(source)
    return root


def test_folders_arrows_and_floors_are_counted(tmp_path: Path) -> None:
    root = package(
        tmp_path / "shop",
        main="from shop import store\n",
        store__shelf="from shop.goods.apple import Apple\nfrom shop.store import door\n",
        store__door="from shop.goods import apple\n",
        goods__apple="import os\n",
    )

    figures = measured(root)

    assert figures["folders / arrows / floors"] == "3 / 2 / 3"
    assert figures["files at the root / most in a folder"] == "2 / 2"


def test_a_circle_has_no_floors(tmp_path: Path) -> None:
    root = package(tmp_path / "shop", a__x="from shop.b import y\n", b__y="def f():\n    from shop.a import x\n")

    assert measured(root)["folders / arrows / floors"] == "2 / 2 / None"


def test_a_folder_without_python_is_refused_by_name(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "infra" / "figures.py"), str(tmp_path)]

    refused = subprocess.run(command, check=False, capture_output=True, text=True)

    assert refused.returncode == 4
    assert f"{tmp_path}: no Python files" in refused.stderr
