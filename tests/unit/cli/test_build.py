"""`dreamfoundry build`: flags become one request, and every old flag keeps its name."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dreamfoundry.cli import build as command
from dreamfoundry.cli.build import resolve_limits, run_request
from dreamfoundry.cli.main import run
from dreamfoundry.errors import ConfigError
from dreamfoundry.run.request import RunRequest
from dreamfoundry.run.scheduling.timeouts import Limits
from dreamfoundry.settings.export_profiles import EXPORT_PROFILES
from dreamfoundry.settings.metadata_policy import MetadataPolicy


class Stopped(Exception):
    """Ends a command when its request is known."""


@pytest.fixture
def request_of(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The request that a command line asks for; nothing is built."""

    def parse(line: str) -> RunRequest:
        requests: list[RunRequest] = []

        def keep(*flags: Any) -> RunRequest:
            requests.append(run_request(*flags))
            raise Stopped

        monkeypatch.setattr(command, "run_request", keep)
        monkeypatch.setattr(command, "stop_on_signals", lambda: None)
        with pytest.raises(Stopped):
            run(line.split())
        return requests[0]

    return parse


def test_two_words_are_enough(request_of: Any) -> None:
    request = request_of("build prompts.parquet out/library")
    assert (request.manifest, request.library) == ("prompts.parquet", "out/library")
    assert request.profile == EXPORT_PROFILES["preview"]
    assert request.metadata_policy == MetadataPolicy()
    assert (request.num_distill_workers, request.num_export_workers, request.num_slots) == (0, 0, 0)
    assert (request.device, request.prior_engine, request.use_ray, request.limits) == ("cpu", "graphs", True, Limits())
    assert Path(request.log_file).parent == Path(tempfile.gettempdir())


def test_every_flag_arrives(request_of: Any) -> None:
    request = request_of(
        "build m l --recipe toybox --set optimize.num_steps=7 --set field.bound=0.9 --profile game_prop "
        "--asset-license CC0-1.0 --copyright-holder Me --rights-url https://example.org --confidential-prompts "
        "--device cuda --prior-engine eager --actors 3 --slots 2 --export-workers=5 --retry-quarantined all "
        "--quarantine-bad-rows --limit lease_s=3 --limit slice_s=0.5 --price 2.50 --no-ray --log-file night.jsonl"
    )
    assert (request.recipe.optimize.num_steps, request.recipe.field.bound) == (7, 0.9)
    assert request.profile.name == "game_prop"
    assert request.metadata_policy == MetadataPolicy(False, "CC0-1.0", "Me", "https://example.org")
    assert (request.device, request.prior_engine) == ("cuda", "eager")
    assert (request.num_distill_workers, request.num_slots, request.num_export_workers) == (3, 2, 5)
    assert (request.retry_class, request.quarantine_bad_rows) == ("all", True)
    assert (request.limits.lease_s, request.limits.slice_s) == (3.0, 0.5)
    assert (request.price_per_hour, request.use_ray, request.log_file) == (2.5, False, "night.jsonl")


def test_a_profile_may_be_a_file(request_of: Any, tmp_path: Path) -> None:
    order = tmp_path / "shop.toml"
    order.write_text('base = "mobile"\nweb = true\n')

    assert request_of(f"build m l --profile {order}").profile == replace(
        EXPORT_PROFILES["mobile"], name="shop", web=True
    )


def test_distill_workers_is_another_name_of_actors(request_of: Any) -> None:
    assert request_of("build m l --distill-workers 4").num_distill_workers == 4


@pytest.mark.parametrize(
    "flags",
    [
        "",
        "one two three",
        "m l --actors 0",
        "m l --slots x",
        "m l --prior-engine fast",
        "m l --price -1",
        "m l --price nan",
        "m l --profile none",
        "m l --recipe none",
        "m l --set nothing",
        "m l --limit none=3",
    ],
)
def test_what_cannot_be_used_ends_with_4(flags: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["build", *flags.split()]) == 4
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.parametrize("setting", ["lease_s", "lease_s=x", "lease_s=-1", "lease_s=nan", "lease_s=4000", "other=1"])
def test_a_limit_is_a_name_and_seconds(setting: str) -> None:
    with pytest.raises(ConfigError, match="--limit"):
        resolve_limits([setting])
