"""Stage 4, collapses that keep every handle: fewer triangles of a closed surface, which are the same in topology.

An edge is collapsed onto one of its two ends (Garland and Heckbert, SIGGRAPH 1997, with the placement of Kobbelt,
Campagna and Seidel, "A general framework for mesh decimation", 1998), where that leaves the surface a manifold of
the same genus and turns no face over. Every vertex that is left is one of the surface,
until it may settle.

Collapses are made in rounds: at once all that are the cheapest among their surroundings and touch no common vertex.

Dimension key:  N vertices · F faces · H half edges, three of each face · h, c some of them · S sides
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy.sparse import coo_matrix, csr_matrix

from dreamfoundry.asset.surface.triangles import area_normals, twin_sides
from dreamfoundry.records import Surface

MIN_TURN_COSINE = 0.3
"""Least cosine of the angle by which a collapse may turn a face, unless it is told another."""

ROUND_SHARE = 0.3
"""Share of the vertices, the cheapest, that may go in one round."""

SHORTNESS = 1e-4
"""Weight of the squared length of an edge beside its quadric: decides where a surface is flat."""

STILLNESS = 1e-3
"""Weight of the squared way of a vertex that settles, beside its quadric: nothing moves along a plane or a crease."""


def collapsed(surface: Surface, max_triangles: int, min_turn_cosine: float = MIN_TURN_COSINE) -> Surface | None:
    """`surface`, closed and in one piece, with at most so many triangles and as many handles as before.

    What is left of its vertices moves to where their quadrics are least, which takes a third off the error. None
    where more would have to go than can without closing a handle or turning a face farther than allowed.
    """
    body = Body.of(surface, min_turn_cosine)
    while body.num_faces > max_triangles:
        edges = HalfEdges.of(body.corners, len(body.places))
        cost = np.where(edges.has_two_common_neighbors(), body.costs(edges), np.inf)
        chosen = edges.cheapest(cost, partial(body.keeps_faces, edges))
        if not len(chosen):
            return None
        body, _ = body.after(edges, chosen[: body.num_collapses(max_triangles)])

    vertex, left = body.left_of(surface)
    return Surface(body.settled()[vertex].astype(np.float32), left.faces)


@dataclass(frozen=True)
class Body:
    """The faces that are left of a closed surface (`corners`), among all its vertices, and the quadrics of these."""

    places: Float64[np.ndarray, "N 3"]
    quadrics: Float64[np.ndarray, "N 4 4"]
    corners: Int64[np.ndarray, "F 3"]
    min_turn_cosine: float

    @staticmethod
    def of(surface: Surface, min_turn_cosine: float = MIN_TURN_COSINE) -> Body:
        """The whole surface; the quadric of a vertex is the sum of those of its faces, by area."""
        places, corners = surface.vertices.astype(np.float64), surface.faces.astype(np.int64)
        normals = area_normals(places[corners])
        unit = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)
        planes = np.column_stack((unit, -(unit * places[corners[:, 0]]).sum(axis=1)))
        quadric = planes[:, :, None] * planes[:, None, :] * np.linalg.norm(normals, axis=1)[:, None, None]
        quadrics = np.zeros((len(places), 4, 4))
        for k in range(3):
            np.add.at(quadrics, corners[:, k], quadric)
        return Body(places, quadrics, corners, min_turn_cosine)

    @property
    def num_faces(self) -> int:
        return len(self.corners)

    def left_of(self, surface: Surface) -> tuple[Int64[np.ndarray, " c"], Surface]:
        """The vertices of `surface`, of which this is a part, that are left, in order, and the surface of them."""
        vertex, corners = np.unique(self.corners, return_inverse=True)
        return vertex, Surface(surface.vertices[vertex], corners.reshape(-1, 3).astype(np.uint32))

    def num_collapses(self, max_triangles: int) -> int:
        """Collapses, of two faces each, that leave at most so many triangles."""
        return (len(self.corners) - max_triangles + 1) // 2

    def costs(self, edges: HalfEdges) -> Float64[np.ndarray, " H"]:
        """Quadric error of the start of each half edge at its end."""
        ends = np.column_stack((self.places, np.ones(len(self.places))))[edges.end]
        quadrics = self.quadrics[edges.start]
        error = np.einsum("hi,hij,hj->h", ends, quadrics, ends)
        length = ((self.places[edges.end] - self.places[edges.start]) ** 2).sum(axis=1)
        costs: np.ndarray = error + SHORTNESS * length * np.trace(quadrics[:, :3, :3], axis1=1, axis2=2)
        return costs

    def moved(self, edges: HalfEdges, tried: Int64[np.ndarray, " h"]) -> MovedCorners:
        """The corners that collapses would move, of the faces that they would leave."""
        row, side = edges.sides_around(edges.start[tried])
        edge = tried[row]
        face, k = side // 3, side % 3
        remains = (self.corners[face] != edges.end[edge][:, None]).all(axis=1)
        return MovedCorners(row[remains], edge[remains], face[remains], k[remains])

    def keeps_faces(self, edges: HalfEdges, tried: Int64[np.ndarray, " h"]) -> Bool[np.ndarray, " h"]:
        """True for each half edge whose collapse turns no other face of its start over."""
        moved = self.moved(edges, tried)
        return moved.all_of(self.turns_little(edges, moved), len(tried))

    def turns_little(self, edges: HalfEdges, moved: MovedCorners) -> Bool[np.ndarray, " S"]:
        """True for each moved corner whose face turns no farther than allowed."""
        before = self.places[self.corners[moved.face]]
        after = before.copy()
        after[np.arange(len(moved.face)), moved.k] = self.places[edges.end[moved.edge]]
        return _turn_is_small(area_normals(before), area_normals(after), self.min_turn_cosine)

    def after(self, edges: HalfEdges, chosen: Int64[np.ndarray, " c"]) -> tuple[Body, Bool[np.ndarray, " F"]]:
        """The body once the start of each chosen half edge has gone to its end; True for the faces that it keeps."""
        vertex = np.arange(len(self.places))
        vertex[edges.start[chosen]] = edges.end[chosen]
        quadrics = self.quadrics.copy()
        np.add.at(quadrics, edges.end[chosen], self.quadrics[edges.start[chosen]])
        corners = vertex[self.corners]
        stays: np.ndarray = (corners != np.roll(corners, 1, axis=1)).all(axis=1)
        return replace(self, quadrics=quadrics, corners=corners[stays]), stays

    def settled(self) -> Float64[np.ndarray, "N 3"]:
        """Places where the quadrics of the vertices are least; corners of a face that this would turn stay."""
        held = STILLNESS * np.trace(self.quadrics[:, :3, :3], axis1=1, axis2=2) + 1e-30
        left_side = self.quadrics[:, :3, :3] + held[:, None, None] * np.eye(3)
        right_side = held[:, None] * self.places - self.quadrics[:, :3, 3]
        places: np.ndarray = np.linalg.solve(left_side, right_side[:, :, None])[:, :, 0]

        old = area_normals(self.places[self.corners])
        while (turned := ~_turn_is_small(old, area_normals(places[self.corners]), self.min_turn_cosine)).any():
            stay = self.corners[turned]
            if (places[stay] == self.places[stay]).all():
                break  # faces without area
            places[stay] = self.places[stay]
        return places


@dataclass(frozen=True)
class MovedCorners:
    """Corners `k` of faces that move along half edges `edge`, each the `row`-th of those that are looked at."""

    row: Int64[np.ndarray, " S"]
    edge: Int64[np.ndarray, " S"]
    face: Int64[np.ndarray, " S"]
    k: Int64[np.ndarray, " S"]

    def all_of(self, good: Bool[np.ndarray, " S"], num_rows: int) -> Bool[np.ndarray, " h"]:
        """True for each row of which all corners are good."""
        kept = np.ones(num_rows, dtype=np.bool_)
        np.logical_and.at(kept, self.row, good)
        return kept


@dataclass(frozen=True)
class HalfEdges:
    """The sides of all faces, from corner k to k + 1, numbered 3 face + k; `twin` is that of the other face."""

    start: Int64[np.ndarray, " H"]
    end: Int64[np.ndarray, " H"]
    twin: Int64[np.ndarray, " H"]
    linked: csr_matrix

    @staticmethod
    def of(corners: Int64[np.ndarray, "F 3"], num_vertices: int) -> HalfEdges:
        """The half edges of a closed surface."""
        start, end = corners.reshape(-1), np.roll(corners, -1, axis=1).reshape(-1)
        shape = (num_vertices, num_vertices)
        linked = coo_matrix((np.ones(len(start)), (start, end)), shape=shape).tocsr()
        return HalfEdges(start, end, twin_sides(corners, num_vertices), linked)

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

    def cheapest(
        self,
        cost: Float64[np.ndarray, " H"],
        may: Callable[[Int64[np.ndarray, " h"]], Bool[np.ndarray, " h"]],
    ) -> Int64[np.ndarray, " c"]:
        """Half edges of a round, cheapest first; none where `may` allows none of finite cost.

        `may` is asked for the cheap ones only, unless it refuses all of them: it looks at many faces.
        """
        of_vertex = np.full(self.linked.shape[0], np.inf)
        np.minimum.at(of_vertex, self.start, cost)
        finite = np.sort(of_vertex[np.isfinite(of_vertex)])
        if not len(finite):
            return np.empty(0, dtype=np.int64)

        for limit in (finite[int(ROUND_SHARE * (len(finite) - 1))], np.inf):
            tried = np.flatnonzero(np.isfinite(cost) & (cost <= limit))
            kept = tried[may(tried)]
            if len(kept):
                break
        return self._independent(kept[np.lexsort((kept, cost[kept]))])

    def _independent(self, ranked: Int64[np.ndarray, " h"]) -> Int64[np.ndarray, " c"]:
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


def _turn_is_small(
    old: Float64[np.ndarray, "S 3"], new: Float64[np.ndarray, "S 3"], min_cosine: float
) -> Bool[np.ndarray, " S"]:
    """True where the normal of a face turns by no more than the angle of that cosine."""
    sizes = np.linalg.norm(old, axis=1) * np.linalg.norm(new, axis=1)
    small: np.ndarray = (old * new).sum(axis=1) > min_cosine * np.maximum(sizes, 1e-30)
    return small
