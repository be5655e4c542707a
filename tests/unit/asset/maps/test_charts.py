"""Charts are counted as a walk from face to face counts them."""

import numpy as np
import pytest

from dreamfoundry.asset.maps.charts import ChartFigures, chart_figures, chart_of_face
from dreamfoundry.records import TexturedMesh


def charts_by_walking(faces: np.ndarray) -> list[set[int]]:
    """The faces of each chart: start at a face, go to every face with a common vertex, until there is none left."""
    left, charts = set(range(len(faces))), []
    while left:
        found, waiting = set(), [min(left)]
        while waiting:
            face = waiting.pop()
            if face in left:
                left.remove(face)
                found.add(face)
                waiting += [other for other in left if set(faces[other]) & set(faces[face])]
        charts.append(found)
    return charts


def test_charts_are_what_hangs_together(textured_beacon: TexturedMesh) -> None:
    expected = charts_by_walking(textured_beacon.faces.tolist())

    chart = chart_of_face(textured_beacon.faces, len(textured_beacon.uvs))

    assert {frozenset(np.flatnonzero(chart == number)) for number in set(chart)} == {frozenset(one) for one in expected}
    figures = chart_figures(textured_beacon.uvs, textured_beacon.faces)
    assert figures.num_charts == len(expected)
    assert figures.small_share == np.mean([len(one) <= 2 for one in expected])
    assert figures.num_flat == 0


def test_triangles_on_a_line_or_a_point_have_no_area() -> None:
    uvs = np.array([(0, 0), (0.5, 0), (0, 0.5), (0.25, 0.25), (0.5, 0)], np.float32)
    faces = np.array([(0, 1, 2), (1, 3, 2), (1, 4, 0)], np.uint32)

    assert chart_figures(uvs, faces).num_flat == 2


@pytest.mark.parametrize(
    ("figures", "shattered"),
    [
        (ChartFigures(100, 0.2, 0), False),
        (ChartFigures(101, 0.0, 0), True),
        (ChartFigures(10, 0.21, 0), True),
        (ChartFigures(10, 0.0, 5), False),
    ],
)
def test_many_charts_or_many_small_ones_are_shattered(figures: ChartFigures, shattered: bool) -> None:
    assert figures.shattered(100, 0.2) is shattered


def test_fewer_charts_cost_less_and_a_triangle_without_area_costs_more_than_any_chart() -> None:
    best_first = [ChartFigures(50, 0.0, 0), ChartFigures(50, 0.1, 0), ChartFigures(90, 0.0, 0), ChartFigures(9, 0.0, 1)]

    assert sorted(best_first[::-1], key=lambda figures: figures.cost) == best_first
