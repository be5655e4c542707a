"""`ray_cluster.yaml` against Ray's own schema and validator, and against what we decided."""

import copy
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from ray import autoscaler
from ray.autoscaler._private.util import prepare_config, validate_config

from dreamfoundry.run.ray.job import STOP_WAIT_S
from dreamfoundry.run.ray.session import LOG_BYTES

FILE = Path(__file__).parents[2] / "ray_cluster.yaml"
SCHEMA = Path(autoscaler.__file__).parent / "ray-schema.json"


@pytest.fixture
def cluster() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return loaded


def workers(cluster: dict[str, Any]) -> dict[str, Any]:
    return {name: node for name, node in cluster["available_node_types"].items() if name != cluster["head_node_type"]}


def is_spot(node: dict[str, Any]) -> bool:
    market: dict[str, str] = node["node_config"].get("InstanceMarketOptions", {})
    return market.get("MarketType") == "spot"


def test_the_file_satisfies_rays_published_schema(cluster: dict[str, Any]) -> None:
    jsonschema.validate(cluster, json.loads(SCHEMA.read_text(encoding="utf-8")))


def test_the_file_passes_rays_own_preparation_and_validation(cluster: dict[str, Any]) -> None:
    prepared = prepare_config(copy.deepcopy(cluster))

    validate_config(prepared)
    assert prepared["head_node_type"] == "head"
    assert sum(node["min_workers"] for node in prepared["available_node_types"].values()) == 0


def test_rays_validator_would_notice_a_misspelt_head(cluster: dict[str, Any]) -> None:
    cluster["head_node_type"] = "haed"

    with pytest.raises(ValueError, match="head_node_type"):
        validate_config(prepare_config(cluster))


def test_the_head_is_on_demand_and_takes_no_ordinary_task(cluster: dict[str, Any]) -> None:
    head = cluster["available_node_types"][cluster["head_node_type"]]

    assert not is_spot(head)
    assert head["resources"]["CPU"] == 0
    assert "GPU" not in head["resources"]
    assert head["max_workers"] == 0


def test_workers_are_several_spot_types_with_an_on_demand_fallback_last(cluster: dict[str, Any]) -> None:
    spot = {name: node for name, node in workers(cluster).items() if is_spot(node)}
    fallback = {name: node for name, node in workers(cluster).items() if not is_spot(node)}

    assert len({node["node_config"]["InstanceType"] for node in spot.values()}) >= 2
    assert len(fallback) >= 1
    assert max(node["priority"] for node in fallback.values()) < min(node["priority"] for node in spot.values())
    assert all(node["resources"]["GPU"] == 1 for node in workers(cluster).values())
    assert all(node["max_workers"] <= cluster["max_workers"] for node in workers(cluster).values())


def test_ray_phones_nobody_and_asks_for_a_token(cluster: dict[str, Any]) -> None:
    options = " ".join(cluster["docker"]["run_options"])

    assert "RAY_USAGE_STATS_ENABLED=0" in options
    assert "RAY_AUTH_MODE=token" in options
    assert "RAY_AUTH_TOKEN_PATH=" in options
    assert "nofile=65536" in options


def test_every_node_hides_gpus_from_exports_and_lets_a_stopped_driver_drain(cluster: dict[str, Any]) -> None:
    options = " ".join(cluster["docker"]["run_options"])

    assert "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO=1" in options
    assert f"RAY_JOB_STOP_WAIT_TIME_S={STOP_WAIT_S}" in options
    assert f"RAY_ROTATION_MAX_BYTES={LOG_BYTES}" in options


def test_workers_watch_for_notices_of_the_cloud_once_their_raylet_runs(cluster: dict[str, Any]) -> None:
    *_, start, watch = cluster["worker_start_ray_commands"]

    assert "ray start --address=$RAY_HEAD_IP:6379" in start
    assert "python /opt/dreamfoundry/infra/spot_watch.py --address $RAY_HEAD_IP:6379" in watch
    assert watch.startswith("nohup flock -n ")
    assert watch.endswith("&")
    assert not any("spot_watch" in command for command in cluster["head_start_ray_commands"])


def test_nothing_is_installed_when_a_node_starts(cluster: dict[str, Any]) -> None:
    prepared = prepare_config(copy.deepcopy(cluster))
    commands = [command for key, value in prepared.items() if key.endswith("_commands") for command in value]

    assert commands
    assert not [command for command in commands if "install" in command]
    assert re.search(r"@sha256:[0-9a-f]{64}$", cluster["docker"]["image"])


def test_every_setting_is_explained_where_it_first_appears() -> None:
    lines = FILE.read_text(encoding="utf-8").splitlines()
    explained: set[str] = set()
    unexplained = []
    for above, line in zip(["", *lines], lines, strict=False):
        setting = re.match(r"\s*(?:- )?\"?([\w/.-]+)\"?: [^&\s]", line)
        if setting is None:
            continue
        if above.lstrip().startswith("#"):
            explained.add(setting[1])
        elif setting[1] not in explained:
            unexplained.append(line.strip())

    assert unexplained == []
