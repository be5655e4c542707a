"""Pictures that show no shaded asset are refused."""

import numpy as np

from dreamfoundry.asset.gates.pictures import check_pictures


def test_pictures_must_show_a_shaded_asset() -> None:
    around = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 4), dtype=np.uint8)
    around[..., 3] = 0
    around[:, 8:24, 8:24, 3] = 255
    blank, flat, full, once_missing = (around.copy() for _ in range(4))
    blank[..., 3] = 0
    flat[..., :3] = 70
    full[..., 3] = 255
    once_missing[1, ..., 3] = 0

    assert check_pictures(around) == []
    for pictures in (blank, flat, full, once_missing):
        assert [(f.severity, f.gate) for f in check_pictures(pictures)] == [("block", "picture")]
