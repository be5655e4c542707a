"""Stage 5, one atlas for all levels: coarser levels keep vertices, coordinates and pictures of the finest.

An edge is collapsed onto one of its two ends (Garland and Heckbert, SIGGRAPH 1997, with the placement of Kobbelt,
Campagna and Seidel, "A general framework for mesh decimation", 1998), so every vertex that is left is one of the finest
level, with its coordinates, normal and tangent. A vertex within a chart may go to any neighbour, one on a seam only
along the seam, on both of whose sides the charts then stay beside each other; where three charts meet, none moves.

Collapses are made in rounds: at once all that are the cheapest among their surroundings and touch no common vertex.

Dimension key:  N vertices · F faces · H half edges, three of each face · h, c some of them · M split vertices · S sides
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy.sparse import coo_matrix, csr_matrix

from dreamfoundry.asset.maps.unwrap import Atlas
from dreamfoundry.asset.surface.triangles import area_normals
from dreamfoundry.records import Surface

MIN_TURN_COSINE = 0.3
"""Least cosine of the angle by which a collapse may turn a face."""

ROUND_SHARE = 0.3
"""Share of the vertices, the cheapest, that may go in one round."""

SHORTNESS = 1e-4
"""Weight of the squared length of an edge beside its quadric: decides where a surface is flat."""


def shared_levels(finest: Surface, atlas: Atlas, num_triangles: Sequence[int]) -> list[tuple[Surface, Atlas]]:
    """Coarser levels of `finest` with at most so many triangles each, and the part of its atlas that each keeps.

    `source` of a returned atlas names vertices of its own surface. The list ends where no level of the next size
    can be made without moving a corner of three charts or folding a face.
    """
    mesh, made = _Mesh.of(finest, atlas), []
    for wanted in num_triangles:
        while len(mesh.corners) > wanted and (coarser := mesh.after_a_round(wanted)) is not None:
            mesh = coarser
        if len(mesh.corners) > wanted:
            break
        made.append(mesh.level(finest, atlas))
    return made


@dataclass(frozen=True)
class _Mesh:
    """The part of the finest level that is left: of each face vertices (`corners`) and split vertices (`splits`)."""

    places: Float64[np.ndarray, "N 3"]
    uvs: Float64[np.ndarray, "M 2"]
    quadrics: Float64[np.ndarray, "N 4 4"]
    corners: Int64[np.ndarray, "F 3"]
    splits: Int64[np.ndarray, "F 3"]

    @staticmethod
    def of(surface: Surface, atlas: Atlas) -> _Mesh:
        places, corners = surface.vertices.astype(np.float64), surface.faces.astype(np.int64)
        normals = area_normals(places[corners])
        unit = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)
        planes = np.column_stack((unit, -(unit * places[corners[:, 0]]).sum(axis=1)))
        quadric = planes[:, :, None] * planes[:, None, :] * np.linalg.norm(normals, axis=1)[:, None, None]
        quadrics = np.zeros((len(places), 4, 4))
        for k in range(3):
            np.add.at(quadrics, corners[:, k], quadric)
        return _Mesh(places, atlas.uvs.astype(np.float64), quadrics, corners, atlas.faces.astype(np.int64))

    def level(self, finest: Surface, atlas: Atlas) -> tuple[Surface, Atlas]:
        """The surface and its atlas, with only the vertices that are left."""
        vertex, corners = np.unique(self.corners, return_inverse=True)
        split, faces = np.unique(self.splits, return_inverse=True)
        surface = Surface(finest.vertices[vertex], corners.reshape(-1, 3).astype(np.uint32))
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
        edges = _HalfEdges.of(self.corners, self.splits, len(self.places))
        cost = np.where(self._may_go(edges), self._cost(edges), np.inf)
        cheapest = np.full(len(self.places), np.inf)
        np.minimum.at(cheapest, edges.start, cost)
        finite = np.sort(cheapest[np.isfinite(cheapest)])
        if not len(finite):
            return None

        # the faces that a collapse would turn are looked at for the cheap ones only
        for limit in (finite[int(ROUND_SHARE * (len(finite) - 1))], np.inf):
            tried = np.flatnonzero(np.isfinite(cost) & (cost <= limit))
            kept = tried[self._keeps_faces(edges, tried)]
            if len(kept):
                break
        else:
            return None
        chosen = edges.independent(kept[np.lexsort((kept, cost[kept]))])[: (len(self.corners) - wanted + 1) // 2]
        return self._collapsed(edges, chosen)

    def _may_go(self, edges: _HalfEdges) -> Bool[np.ndarray, " H"]:
        """True where the start of a half edge may go to its end, as far as charts and topology are concerned."""
        num_seams = np.bincount(edges.start[edges.is_seam], minlength=len(self.places))
        first = np.unique(self.splits, return_index=True)[1]
        num_splits = np.bincount(self.corners.reshape(-1)[first], minlength=len(self.places))
        within = (num_seams == 0) & (num_splits == 1)
        along = (num_seams == 2) & (num_splits == 2)
        allowed: np.ndarray = within[edges.start] | (along[edges.start] & edges.is_seam)
        allowed &= edges.has_two_common_neighbors()
        return allowed

    def _cost(self, edges: _HalfEdges) -> Float64[np.ndarray, " H"]:
        """Quadric error of the start of each half edge at its end."""
        ends = np.column_stack((self.places, np.ones(len(self.places))))[edges.end]
        quadrics = self.quadrics[edges.start]
        error = np.einsum("hi,hij,hj->h", ends, quadrics, ends)
        length = ((self.places[edges.end] - self.places[edges.start]) ** 2).sum(axis=1)
        costs: np.ndarray = error + SHORTNESS * length * np.trace(quadrics[:, :3, :3], axis1=1, axis2=2)
        return costs

    def _keeps_faces(self, edges: _HalfEdges, tried: Int64[np.ndarray, " h"]) -> Bool[np.ndarray, " h"]:
        """True for each half edge whose collapse turns no other face of its start over, in space or on the texture."""
        row, side = edges.sides_around(edges.start[tried])
        edge = tried[row]
        face, k = side // 3, side % 3
        remains = (self.corners[face] != edges.end[edge][:, None]).all(axis=1)
        row, edge, face, k = row[remains], edge[remains], face[remains], k[remains]

        before = self.places[self.corners[face]]
        after = before.copy()
        after[np.arange(len(face)), k] = self.places[edges.end[edge]]
        old, new = area_normals(before), area_normals(after)
        sizes = np.linalg.norm(old, axis=1) * np.linalg.norm(new, axis=1)
        good = (old * new).sum(axis=1) > MIN_TURN_COSINE * np.maximum(sizes, 1e-30)

        flat = self.uvs[self.splits[face]]
        moved = flat.copy()
        moved[np.arange(len(face)), k] = self.uvs[edges.split_end_for(edge, self.splits[face, k])]
        old_area, new_area = _doubled_area(flat), _doubled_area(moved)
        good &= (old_area * new_area > 0.0) & (np.abs(new_area) > 1e-11)
        kept = np.ones(len(tried), dtype=np.bool_)
        np.logical_and.at(kept, row, good)
        return kept

    def _collapsed(self, edges: _HalfEdges, chosen: Int64[np.ndarray, " h"]) -> _Mesh:
        vertex, split = np.arange(len(self.places)), np.arange(len(self.uvs))
        vertex[edges.start[chosen]] = edges.end[chosen]
        split[edges.split_start[chosen]] = edges.split_end[chosen]
        back = edges.twin[chosen]
        split[edges.split_end[back]] = edges.split_start[back]
        quadrics = self.quadrics.copy()
        np.add.at(quadrics, edges.end[chosen], self.quadrics[edges.start[chosen]])

        corners, splits = vertex[self.corners], split[self.splits]
        solid = (corners != np.roll(corners, 1, axis=1)).all(axis=1)
        return replace(self, quadrics=quadrics, corners=corners[solid], splits=splits[solid])


@dataclass(frozen=True)
class _HalfEdges:
    """The sides of all faces, from corner k to k + 1, numbered 3 face + k; `twin` is that of the other face."""

    start: Int64[np.ndarray, " H"]
    end: Int64[np.ndarray, " H"]
    split_start: Int64[np.ndarray, " H"]
    split_end: Int64[np.ndarray, " H"]
    twin: Int64[np.ndarray, " H"]
    linked: csr_matrix

    @staticmethod
    def of(corners: Int64[np.ndarray, "F 3"], splits: Int64[np.ndarray, "F 3"], num_vertices: int) -> _HalfEdges:
        start, end = corners.reshape(-1), np.roll(corners, -1, axis=1).reshape(-1)
        forward, backward = start * num_vertices + end, end * num_vertices + start
        order = np.argsort(forward)
        twin = order[np.searchsorted(forward[order], backward)]
        shape = (num_vertices, num_vertices)
        linked = coo_matrix((np.ones(len(start)), (start, end)), shape=shape).tocsr()
        return _HalfEdges(start, end, splits.reshape(-1), np.roll(splits, -1, axis=1).reshape(-1), twin, linked)

    @property
    def is_seam(self) -> Bool[np.ndarray, " H"]:
        back = self.twin
        seam: np.ndarray = (self.split_start != self.split_end[back]) | (self.split_end != self.split_start[back])
        return seam

    def has_two_common_neighbors(self) -> Bool[np.ndarray, " H"]:
        """The link condition: more of them would leave two sheets on one edge (Dey et al., 1999)."""
        common = (self.linked @ self.linked).multiply(self.linked).tocsr()
        common.sort_indices()
        counts = np.empty(len(self.start))
        counts[np.lexsort((self.end, self.start))] = common.data
        two: np.ndarray = counts == 2.0
        return two

    def sides_around(
        self, vertices: Int64[np.ndarray, " h"]
    ) -> tuple[Int64[np.ndarray, " S"], Int64[np.ndarray, " S"]]:
        """Of each vertex, the half edges that start there, as (place in `vertices`, half edge)."""
        order = np.argsort(self.start, kind="stable")
        first, last = (np.searchsorted(self.start[order], vertices, side=side) for side in ("left", "right"))
        counts = last - first
        row = np.repeat(np.arange(len(vertices)), counts)
        within = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
        return row, order[np.repeat(first, counts) + within]

    def split_end_for(self, edge: Int64[np.ndarray, " S"], split: Int64[np.ndarray, " S"]) -> Int64[np.ndarray, " S"]:
        """The split vertex that `split`, at the start of `edge`, becomes: that of the end on its side of the seam."""
        back = self.twin[edge]
        became: np.ndarray = np.where(split == self.split_start[edge], self.split_end[edge], self.split_start[back])
        return became

    def independent(self, ranked: Int64[np.ndarray, " h"]) -> Int64[np.ndarray, " c"]:
        """Those of `ranked`, best first, that are the best of all with which they have a neighbour in common."""
        rank = np.full(self.linked.shape[0], len(ranked), dtype=np.int64)
        np.minimum.at(rank, self.start[ranked], np.arange(len(ranked)))
        nearest = rank.copy()
        for _ in range(2):  # to the neighbours of a start, and from them to the other starts around
            spread = nearest.copy()
            np.minimum.at(spread, self.end, nearest[self.start])
            nearest = spread
        chosen: np.ndarray = ranked[nearest[self.start[ranked]] == np.arange(len(ranked))]
        return chosen


def _doubled_area(corners: Float64[np.ndarray, "S 3 2"]) -> Float64[np.ndarray, " S"]:
    """Twice the area of each triangle, negative where it is mirrored."""
    (x1, y1), (x2, y2) = ((corners[:, k] - corners[:, 0]).T for k in (1, 2))
    areas: np.ndarray = x1 * y2 - x2 * y1
    return areas
