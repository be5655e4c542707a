"""From where an asset is looked at: azimuth 0 stands on +Z, where the front is, and grows towards +X."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float64

FOVY_DEG = 30.0
MARGIN = 1.02
"""How much wider than the asset's bounding sphere a framed view is."""


def orbit_pose(
    azimuth_deg: float, elevation_deg: float, distance: float, target: Float[np.ndarray, " 3"]
) -> Float64[np.ndarray, "4 4"]:
    """Camera-to-world of a camera on a circle around `target`, looking at it along its -Z, +Y up."""
    azimuth, elevation = np.deg2rad(azimuth_deg), np.deg2rad(elevation_deg)
    backward = np.array([np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)])
    right = np.array([np.cos(azimuth), 0.0, -np.sin(azimuth)])
    pose = np.eye(4)
    pose[:3, :3] = np.stack((right, np.cross(backward, right), backward), axis=1)
    pose[:3, 3] = target + distance * backward
    return pose


def framing_pose(
    vertices: Float[np.ndarray, "N 3"], azimuth_deg: float, elevation_deg: float
) -> Float64[np.ndarray, "4 4"]:
    """The pose from which the asset fills a square picture of FOVY_DEG, at the same size from everywhere."""
    low, high = vertices.min(axis=0).astype(np.float64), vertices.max(axis=0).astype(np.float64)
    center = 0.5 * (low + high)
    radius = float(np.linalg.norm(vertices - center, axis=1).max())
    return orbit_pose(azimuth_deg, elevation_deg, MARGIN * radius / np.sin(np.deg2rad(0.5 * FOVY_DEG)), center)
