"""The files for Kubernetes: what we rely on in them, since no operator runs in a test."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from dreamfoundry.run.ray.job import STOP_WAIT_S
from dreamfoundry.run.ray.session import LOG_BYTES

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "infra" / "kuberay"


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FOLDER / name).read_text(encoding="utf-8")))


@pytest.fixture
def night() -> dict[str, Any]:
    (job,) = documents("rayjob.yaml")
    return job


@pytest.fixture
def nightly() -> dict[str, dict[str, Any]]:
    return {document["kind"]: document for document in documents("nightly.yaml")}


def pods(night: dict[str, Any]) -> list[dict[str, Any]]:
    cluster = night["spec"]["rayClusterSpec"]
    return [group["template"]["spec"] for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])]


def env(container: dict[str, Any]) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in container["env"]}


def test_the_schedule_starts_the_very_file_that_starts_one_night(nightly: dict[str, dict[str, Any]]) -> None:
    (kustomization,) = documents("kustomization.yaml")
    assert kustomization["resources"] == ["nightly.yaml"]
    (generated,) = kustomization["configMapGenerator"]
    pod = nightly["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (volume,) = pod["volumes"]
    (container,) = pod["containers"]
    (mount,) = container["volumeMounts"]
    assert generated == {"name": volume["configMap"]["name"], "files": ["rayjob.yaml"]}
    assert mount["name"] == volume["name"]
    assert container["command"] == ["kubectl", "create", "-f", f"{mount['mountPath']}/rayjob.yaml"]


def test_nights_do_not_share_a_name_and_do_not_overlap(
    night: dict[str, Any], nightly: dict[str, dict[str, Any]]
) -> None:
    assert set(night["metadata"]) == {"generateName"}
    assert re.fullmatch(r"\d+ \d+ \* \* \*", nightly["CronJob"]["spec"]["schedule"])
    assert nightly["CronJob"]["spec"]["concurrencyPolicy"] == "Forbid"
    assert night["spec"]["activeDeadlineSeconds"] < 24 * 3600


def test_the_schedule_may_create_ray_jobs_and_nothing_else(nightly: dict[str, dict[str, Any]]) -> None:
    assert nightly["Role"]["rules"] == [{"apiGroups": ["ray.io"], "resources": ["rayjobs"], "verbs": ["create"]}]
    account = nightly["ServiceAccount"]["metadata"]["name"]
    assert nightly["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]["serviceAccountName"] == account
    assert nightly["RoleBinding"]["subjects"] == [{"kind": "ServiceAccount", "name": account}]
    assert nightly["RoleBinding"]["roleRef"]["name"] == nightly["Role"]["metadata"]["name"]


def test_a_failed_night_is_tried_again_on_a_new_cluster_and_none_is_left_behind(night: dict[str, Any]) -> None:
    spec = night["spec"]
    assert (spec["submissionMode"], spec["shutdownAfterJobFinishes"]) == ("HTTPMode", True)
    assert spec["backoffLimit"] >= 1
    assert spec["ttlSecondsAfterFinished"] > 0


def test_a_stopped_driver_has_time_to_drain(night: dict[str, Any]) -> None:
    variables = yaml.safe_load(night["spec"]["runtimeEnvYAML"])["env_vars"]
    assert variables["RAY_JOB_STOP_WAIT_TIME_S"] == str(STOP_WAIT_S)


def test_ray_asks_for_a_token_that_the_operator_knows_too(night: dict[str, Any]) -> None:
    """A token only in the containers' environment would lock out the operator, which submits by REST."""
    assert night["spec"]["rayClusterSpec"]["authOptions"] == {"mode": "token"}
    for pod in pods(night):
        assert not {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN"} & set(env(pod["containers"][0]))


def test_every_node_hides_gpus_phones_nobody_and_runs_a_pinned_image(night: dict[str, Any]) -> None:
    for pod in pods(night):
        (container,) = pod["containers"]
        assert env(container)["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] == "1"
        assert env(container)["RAY_USAGE_STATS_ENABLED"] == "0"
        assert env(container)["RAY_ROTATION_MAX_BYTES"] == str(LOG_BYTES)
        assert re.search(r"@sha256:[0-9a-f]{64}$", container["image"])


def test_the_head_takes_no_work_and_is_not_on_spot(night: dict[str, Any]) -> None:
    head, *workers = pods(night)
    assert night["spec"]["rayClusterSpec"]["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    assert all(head["nodeSelector"] != worker["nodeSelector"] for worker in workers)


def test_a_worker_watches_for_notices_and_drains_before_it_is_stopped(night: dict[str, Any]) -> None:
    _, *workers = pods(night)
    for worker in workers:
        hooks = worker["containers"][0]["lifecycle"]
        program = "/opt/dreamfoundry/infra/spot_watch.py"
        assert hooks["postStart"]["exec"]["command"][-1] == f"nohup python {program} >/proc/1/fd/1 2>&1 &"
        *command, wait_s = hooks["preStop"]["exec"]["command"]
        assert command == ["python", program, "--now"]
        assert worker["terminationGracePeriodSeconds"] == 120
        assert float(wait_s) + 15.0 <= 120.0, "the raylet needs some seconds of the grace period too"


def test_the_image_has_the_watcher_where_the_nodes_look_for_it() -> None:
    dockerfile = (ROOT / "infra" / "Dockerfile.worker").read_text(encoding="utf-8")
    assert "WORKDIR /opt/dreamfoundry\n" in dockerfile
    assert "COPY infra/spot_watch.py infra/spot_watch.py\n" in dockerfile
    assert "RAY_AUTH_MODE=token" in dockerfile


def test_the_image_asks_for_the_gpus_of_its_machine_and_keeps_kernels_on_its_disk() -> None:
    """Without the first two a container of `ray up` has no GPU, whatever its node declares to Ray."""
    image = (ROOT / "infra" / "Dockerfile.worker").read_text(encoding="utf-8").split("\nFROM ")[-1]
    variables = dict(re.findall(r"^(?:ENV|   ) (\w+)=(\S+)", image, re.MULTILINE))
    assert variables["NVIDIA_VISIBLE_DEVICES"] == "all"
    assert set(variables["NVIDIA_DRIVER_CAPABILITIES"].split(",")) == {"compute", "utility"}
    assert f"install --directory --owner foundry {variables['TRITON_CACHE_DIR']}\n" in image
