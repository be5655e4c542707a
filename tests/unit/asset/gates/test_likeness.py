"""Losses beyond their limits are warnings."""

from dreamfoundry.asset.gates.likeness import check_likeness


def test_what_was_lost_on_the_way_is_a_warning() -> None:
    sound = {
        "surface_error_mean_LOD0": 0.001,
        "surface_error_max_LOD0": 0.02,
        "surface_error_max_LOD1": 0.9,  # the budget of a coarse level decides
        "silhouette_iou_LOD0": 0.97,
        "level_iou_LOD1": 0.95,
    }
    faults = {
        "surface_error_mean_LOD0": (0.006, "surface_error"),
        "surface_error_max_LOD0": (0.04, "surface_error"),
        "silhouette_iou_LOD0": (0.5, "field_silhouettes"),
        "level_iou_LOD1": (0.8, "level_silhouettes"),
    }

    assert check_likeness(sound) == []
    for score, (value, gate) in faults.items():
        (finding,) = check_likeness({**sound, score: value})
        assert (finding.severity, finding.gate) == ("warn", gate)
        assert score in finding.message
