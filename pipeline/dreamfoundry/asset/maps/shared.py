"""Stage 5, one atlas for all levels: coarser levels keep vertices, coordinates and pictures of the finest.

Collapses are those of `asset.surface.collapse`, onto one of the two ends of an edge, so every vertex that is left is
one of the finest level, with its coordinates, normal and tangent. A vertex within a chart may go to any neighbour, one
on a seam only along the seam, on both of whose sides the charts then stay beside each other; where three charts meet,
none moves.

Dimension key:  F faces · H half edges, three of each face · h, c some of them · M split vertices · S sides
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float64, Int64

from dreamfoundry.asset.maps.charts import signed_doubled_areas
from dreamfoundry.asset.maps.unwrap import Atlas
from dreamfoundry.asset.surface.collapse import Body, HalfEdges, MovedCorners
from dreamfoundry.records import Surface

MIN_DOUBLED_AREA = 1e-11
"""Least area of a triangle on the texture, doubled, in units of the whole."""


def shared_levels(finest: Surface, atlas: Atlas, num_triangles: Sequence[int]) -> list[tuple[Surface, Atlas]]:
    """Coarser levels of `finest` with at most so many triangles each, and the part of its atlas that each keeps.

    `source` of a returned atlas names vertices of its own surface. The list ends where no level of the next size
    can be made without moving a corner of three charts or folding a face.
    """
    mesh, made = _Mesh.of(finest, atlas), []
    for wanted in num_triangles:
        while mesh.body.num_faces > wanted and (coarser := mesh.after_a_round(wanted)) is not None:
            mesh = coarser
        if mesh.body.num_faces > wanted:
            break
        made.append(mesh.level(finest, atlas))
    return made


@dataclass(frozen=True)
class _Mesh:
    """The part of the finest level that is left: its faces, and of each the split vertices at its corners."""

    body: Body
    uvs: Float64[np.ndarray, "M 2"]
    splits: Int64[np.ndarray, "F 3"]

    @staticmethod
    def of(surface: Surface, atlas: Atlas) -> _Mesh:
        return _Mesh(Body.of(surface), atlas.uvs.astype(np.float64), atlas.faces.astype(np.int64))

    def level(self, finest: Surface, atlas: Atlas) -> tuple[Surface, Atlas]:
        """The surface and its atlas, with only the vertices that are left."""
        vertex, surface = self.body.left_of(finest)
        split, faces = np.unique(self.splits, return_inverse=True)
        source = np.searchsorted(vertex, atlas.source[split]).astype(np.uint32)
        lightmap_uvs = None if atlas.lightmap_uvs is None else atlas.lightmap_uvs[split]
        return surface, replace(
            atlas,
            source=source,
            faces=faces.reshape(-1, 3).astype(np.uint32),
            uvs=atlas.uvs[split],
            lightmap_uvs=lightmap_uvs,
            of_finest=split.astype(np.uint32),
        )

    def after_a_round(self, wanted: int) -> _Mesh | None:
        """The mesh with some edges collapsed, at most down to `wanted` triangles; None where none may be."""
        edges = HalfEdges.of(self.body.corners, len(self.body.places))
        seams = _Seams.of(edges, self.splits)
        cost = np.where(self._may_go(edges, seams), self.body.costs(edges), np.inf)

        def keeps_faces(tried: Int64[np.ndarray, " h"]) -> Bool[np.ndarray, " h"]:
            moved = self.body.moved(edges, tried)
            return moved.all_of(self.body.turns_little(edges, moved) & self._stays_flat(seams, moved), len(tried))

        chosen = edges.cheapest(cost, keeps_faces)[: self.body.num_collapses(wanted)]
        return self._collapsed(edges, seams, chosen) if len(chosen) else None

    def _may_go(self, edges: HalfEdges, seams: _Seams) -> Bool[np.ndarray, " H"]:
        """True where the start of a half edge may go to its end, as far as charts and topology are concerned."""
        num_vertices = len(self.body.places)
        num_seams = np.bincount(edges.start[seams.is_seam], minlength=num_vertices)
        first = np.unique(self.splits, return_index=True)[1]
        num_splits = np.bincount(self.body.corners.reshape(-1)[first], minlength=num_vertices)
        within = (num_seams == 0) & (num_splits == 1)
        along = (num_seams == 2) & (num_splits == 2)
        allowed: np.ndarray = within[edges.start] | (along[edges.start] & seams.is_seam)
        allowed &= edges.start != self.body.places[:, 1].argmin()  # all levels stand on the same ground
        allowed &= edges.has_two_common_neighbors()
        return allowed

    def _stays_flat(self, seams: _Seams, moved: MovedCorners) -> Bool[np.ndarray, " S"]:
        """True for each moved corner whose triangle on the texture keeps its side up, and some area."""
        corners = self.splits[moved.face]
        before = self.uvs[corners]
        after = before.copy()
        place = np.arange(len(moved.face)), moved.k
        after[place] = self.uvs[seams.split_end_for(moved.edge, corners[place])]
        old_area, new_area = signed_doubled_areas(before), signed_doubled_areas(after)
        flat: np.ndarray = (old_area * new_area > 0.0) & (np.abs(new_area) > MIN_DOUBLED_AREA)
        return flat

    def _collapsed(self, edges: HalfEdges, seams: _Seams, chosen: Int64[np.ndarray, " c"]) -> _Mesh:
        split = np.arange(len(self.uvs))
        split[seams.split_start[chosen]] = seams.split_end[chosen]
        back = seams.twin[chosen]
        split[seams.split_end[back]] = seams.split_start[back]
        body, stays = self.body.after(edges, chosen)
        return replace(self, body=body, splits=split[self.splits][stays])


@dataclass(frozen=True)
class _Seams:
    """The split vertices at both ends of each half edge, on the side of its own face."""

    twin: Int64[np.ndarray, " H"]
    split_start: Int64[np.ndarray, " H"]
    split_end: Int64[np.ndarray, " H"]
    is_seam: Bool[np.ndarray, " H"]

    @staticmethod
    def of(edges: HalfEdges, splits: Int64[np.ndarray, "F 3"]) -> _Seams:
        start, end, back = splits.reshape(-1), np.roll(splits, -1, axis=1).reshape(-1), edges.twin
        return _Seams(back, start, end, (start != end[back]) | (end != start[back]))

    def split_end_for(self, edge: Int64[np.ndarray, " S"], split: Int64[np.ndarray, " S"]) -> Int64[np.ndarray, " S"]:
        """The split vertex that `split`, at the start of `edge`, becomes: that of the end on its side of the seam."""
        back = self.twin[edge]
        became: np.ndarray = np.where(split == self.split_start[edge], self.split_end[edge], self.split_start[back])
        return became
