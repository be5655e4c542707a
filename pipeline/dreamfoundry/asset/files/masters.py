"""Stage 6, the master GLBs: levels, collision hulls and dense surface, from which all other files are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from dreamfoundry.asset.files import gltf_writer, xmp
from dreamfoundry.asset.files.glb_reader import Glb
from dreamfoundry.asset.files.metadata import copyright_line
from dreamfoundry.asset.files.placement import Placement
from dreamfoundry.records import ColoredMesh, Surface, TexturedMesh


@dataclass(frozen=True)
class MasterWriter:
    """Writes the GLBs of one asset, in metres, all with the same metadata, XMP packet and copyright line."""

    slug: str
    metadata: Mapping[str, object]
    place: Placement

    @cached_property
    def _copyright(self) -> str:
        return copyright_line(self.metadata)

    @cached_property
    def _packet(self) -> dict[str, Any]:
        return xmp.packet(self.metadata, self._copyright)

    def write(
        self, levels: Sequence[TexturedMesh | ColoredMesh], hulls: Sequence[Surface], dense: ColoredMesh | None
    ) -> tuple[tuple[Glb, ...], Glb | None, Glb | None]:
        """The files of the levels, of all hulls, and of the dense surface; None without hulls or dense surface."""
        return (
            tuple(self.level(level, number) for number, level in enumerate(levels)),
            self.hulls(hulls) if hulls else None,
            self.dense(dense) if dense else None,
        )

    def level(self, level: TexturedMesh | ColoredMesh, number: int) -> Glb:
        """`<slug>.glb` for the finest level, `<slug>_LOD<number>.glb` for the others."""
        name = f"{self.slug}_LOD{number}.glb" if number else f"{self.slug}.glb"
        return self._mesh_file(name, level, number)

    def dense(self, surface: ColoredMesh) -> Glb:
        """`<slug>_dense.glb`: the surface before decimation."""
        return self._mesh_file(f"{self.slug}_dense.glb", surface, None)

    def hulls(self, hulls: Sequence[Surface]) -> Glb:
        """`<slug>_collision.glb`: all collision hulls."""
        placed = [replace(hull, vertices=self.place(hull.vertices)) for hull in hulls]
        data = gltf_writer.write_collision_glb(
            placed, slug=self.slug, metadata=self.metadata, copyright_text=self._copyright
        )
        return self._stamped(f"{self.slug}_collision.glb", data)

    def _mesh_file(self, name: str, mesh: TexturedMesh | ColoredMesh, number: int | None) -> Glb:
        placed = replace(mesh, vertices=self.place(mesh.vertices))
        data = gltf_writer.write_glb(
            placed,
            slug=self.slug,
            level=number,
            metadata=self.metadata,
            copyright_text=self._copyright,
        )
        return self._stamped(name, data)

    def _stamped(self, name: str, data: bytes) -> Glb:
        return Glb(name, xmp.stamped(data, self._packet))
