"""Stage 6, USDZ: the delivered levels once more, as CG studios and Apple's viewers take them.

One component with a variant set "LOD" (Unreal makes it one mesh with levels), a UsdPreviewSurface with
the textures of the GLB, metres, +Y up. The thumbnail is its preview; collision hulls are invisible guides of one rigid
body (UsdPhysics), as Omniverse takes them. Needs usd-core (`pip install dreamfoundry[usd]`); where it is
absent the gate "usd" says "not_run" and there is no such file. The bytes hold no time.

Dimension key:  N vertices
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dreamfoundry.asset import names
from dreamfoundry.asset.files.deliverable import Deliverable, Made
from dreamfoundry.asset.files.draft import AssetDraft
from dreamfoundry.asset.files.glb_reader import DeliveredMesh, Glb
from dreamfoundry.asset.files.metadata import short_form
from dreamfoundry.errors import ToolUnavailable
from dreamfoundry.identity import canonical_json
from dreamfoundry.records import Finding

GATE = "usd"
TOOL = "usd-core"
VARIANT_SET = "LOD"
"""The name by which Unreal knows a variant set of levels."""

PREVIEW = "thumbnail.png"
"""Name of the preview within the package."""

ZIP_DATE = (1980, 1, 1, 12, 0, 0, 0, 1, -1)
"""The first day that a zip file can tell, in local time: the package tells the dates of its files by the clock on the
wall of this machine, so they get the moment at which that clock says this."""


@dataclass(frozen=True)
class StageContent:
    """Content of a stage: levels, finest first, their sizes on the screen by number, and what it may go without.

    Without hulls there is no physics; the preview is the picture that browsers of assets show.
    """

    levels: Sequence[Glb]
    slug: str
    metadata: Mapping[str, Any]
    screen_sizes: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    hulls: Glb | None = None
    preview_png: bytes = b""


def usdz(content: StageContent) -> Made:
    """`<slug>.usdz`. Every error of USD's validators blocks; raises ToolUnavailable where usd-core is absent."""
    if importlib.util.find_spec("pxr") is None:
        raise ToolUnavailable("usd-core is not installed (pip install 'dreamfoundry[usd]')")
    from pxr import UsdUtils  # about a second

    slug = content.slug
    with tempfile.TemporaryDirectory(prefix="dreamfoundry-") as folder:
        layer, package = Path(folder, f"{slug}.usdc"), Path(folder, f"{slug}.usdz")
        _write_stage(layer, content)
        for file in Path(folder).iterdir():
            os.utime(file, (time.mktime(ZIP_DATE),) * 2)
        if not UsdUtils.CreateNewUsdzPackage(str(layer), str(package)):
            return {}, [Finding("block", GATE, TOOL, f"{slug}.usdz: the package could not be written")]
        findings = [Finding("block", GATE, TOOL, f"{slug}.usdz: {error}") for error in validation_errors(package)]
        return {package.name: package.read_bytes()}, findings


def validation_errors(path: Path) -> list[str]:
    """Errors of the validators that come with USD for a stage or package, as "name: message"."""
    from pxr import Usd, UsdValidation

    validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    errors = UsdValidation.ValidationContext(validators).Validate(Usd.Stage.Open(str(path)))
    return [f"{error.GetName()}: {error.GetMessage()}" for error in errors]


def _write_stage(layer: Path, content: StageContent) -> None:
    from pxr import Kind, Sdf, Usd, UsdGeom

    slug, metadata = content.slug, content.metadata
    stage = Usd.Stage.CreateNew(str(layer))
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y)
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    root = UsdGeom.Xform.Define(stage, f"/{slug}").GetPrim()
    stage.SetDefaultPrim(root)
    stage.GetRootLayer().customLayerData = {"dreamfoundry": canonical_json(metadata).decode()}
    root.SetCustomDataByKey("dreamfoundry", short_form(metadata, slug))  # stays where the file is referenced
    model = Usd.ModelAPI(root)
    model.SetKind(Kind.Tokens.component)
    model.SetAssetIdentifier(Sdf.AssetPath(f"{slug}.usdz"))
    model.SetAssetName(slug)
    model.SetAssetVersion(str(metadata.get("asset_key", "")))
    if content.preview_png:
        _add_preview(root, layer.parent, content.preview_png)
    if content.hulls is not None:
        _add_physics(stage, root, content.hulls)

    variants = root.GetVariantSets().AddVariantSet(VARIANT_SET)
    for number, glb in enumerate(content.levels):
        variants.AddVariant(f"LOD{number}")
        variants.SetVariantSelection(f"LOD{number}")
        with variants.GetVariantEditContext():
            mesh = _write_level(stage, layer.parent, glb, slug, number)
            told = {"level": number, **content.screen_sizes.get(number, {})}
            mesh.GetPrim().SetCustomDataByKey("dreamfoundry", told)
    variants.SetVariantSelection("LOD0")
    stage.GetRootLayer().Save()


def _add_preview(root: Any, folder: Path, png: bytes) -> None:
    """The picture that browsers of assets show for the file."""
    from pxr import Sdf, UsdMedia

    (folder / PREVIEW).write_bytes(png)
    previews = UsdMedia.AssetPreviewsAPI.Apply(root)
    previews.SetDefaultThumbnails(UsdMedia.AssetPreviewsAPI.Thumbnails(defaultImage=Sdf.AssetPath(f"./{PREVIEW}")))


def _add_physics(stage: Any, root: Any, hulls: Glb) -> None:
    """One rigid body with a collider for each hull: convex, invisible, and a guide, so that nobody draws it."""
    from pxr import UsdGeom, UsdPhysics

    UsdPhysics.RigidBodyAPI.Apply(root)
    for name in hulls.node_names:
        mesh = _define_mesh(stage, f"{root.GetPath()}/{name}", hulls.mesh_of(name))
        mesh.CreatePurposeAttr(UsdGeom.Tokens.guide)
        mesh.CreateVisibilityAttr(UsdGeom.Tokens.invisible)
        UsdPhysics.CollisionAPI.Apply(mesh.GetPrim())
        UsdPhysics.MeshCollisionAPI.Apply(mesh.GetPrim()).CreateApproximationAttr(UsdPhysics.Tokens.convexHull)


def _define_mesh(stage: Any, path: str, delivered: DeliveredMesh) -> Any:
    """The triangles of a mesh, and its bounds."""
    from pxr import UsdGeom, Vt

    mesh = UsdGeom.Mesh.Define(stage, path)
    mesh.CreatePointsAttr(Vt.Vec3fArray.FromNumpy(delivered.vertices))
    mesh.CreateFaceVertexCountsAttr(Vt.IntArray.FromNumpy(np.full(len(delivered.faces), 3, np.int32)))
    mesh.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(delivered.faces.reshape(-1).astype(np.int32)))
    mesh.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    bounds = np.stack((delivered.vertices.min(axis=0), delivered.vertices.max(axis=0)))
    mesh.CreateExtentAttr(Vt.Vec3fArray.FromNumpy(bounds))
    return mesh


def _write_level(stage: Any, folder: Path, glb: Glb, slug: str, number: int) -> Any:
    """A level with its material; the mesh."""
    from pxr import Sdf, UsdGeom, UsdShade, Vt

    delivered = glb.mesh
    level = names.level_name(slug, number)
    mesh = _define_mesh(stage, f"/{slug}/{level}", delivered)
    if delivered.normals is not None:
        mesh.CreateNormalsAttr(Vt.Vec3fArray.FromNumpy(delivered.normals))
        mesh.SetNormalsInterpolation(UsdGeom.Tokens.vertex)
    for name, uvs in (("st", delivered.uvs), ("st1", delivered.lightmap_uvs)):
        if uvs is not None:
            kind = Sdf.ValueTypeNames.TexCoord2fArray
            coordinates = UsdGeom.PrimvarsAPI(mesh).CreatePrimvar(name, kind, UsdGeom.Tokens.vertex)
            upwards = np.stack((uvs[:, 0], 1.0 - uvs[:, 1]), axis=1)  # USD has v = 0 at the bottom
            coordinates.Set(Vt.Vec2fArray.FromNumpy(np.ascontiguousarray(upwards, dtype=np.float32)))
    if delivered.colors is not None:
        mesh.CreateDisplayColorPrimvar(UsdGeom.Tokens.vertex).Set(Vt.Vec3fArray.FromNumpy(delivered.colors))
    material = _write_material(stage, folder, glb, slug)
    UsdShade.MaterialBindingAPI.Apply(mesh.GetPrim()).Bind(material)
    return mesh


def _write_material(stage: Any, folder: Path, glb: Glb, slug: str) -> Any:
    """A UsdPreviewSurface that reads the textures which the material of the GLB names; levels may share one."""
    from pxr import Gf, Sdf, UsdShade

    (primitive,) = glb.document["meshes"][0]["primitives"]
    described = glb.document["materials"][primitive["material"]]
    path = f"/{slug}/{described['name']}"
    types = Sdf.ValueTypeNames
    material = UsdShade.Material.Define(stage, path)
    surface = UsdShade.Shader.Define(stage, f"{path}/Surface")
    surface.CreateIdAttr("UsdPreviewSurface")
    material.CreateSurfaceOutput().ConnectToSource(surface.ConnectableAPI(), "surface")
    reader = UsdShade.Shader.Define(stage, f"{path}/Coordinates")
    reader.CreateIdAttr("UsdPrimvarReader_float2")
    reader.CreateInput("varname", types.String).Set("st")

    def texture(name: str, reference: Mapping[str, int], color_space: str) -> Any:
        part = path.rpartition("/")[2].removeprefix("M_")
        file = folder / f"{names.texture_name(part, name)}.png"
        file.write_bytes(glb.texture_image(reference["index"]))
        shader = UsdShade.Shader.Define(stage, f"{path}/{name}")
        shader.CreateIdAttr("UsdUVTexture")
        shader.CreateInput("file", types.Asset).Set(Sdf.AssetPath(f"./{file.name}"))
        shader.CreateInput("sourceColorSpace", types.Token).Set(color_space)
        shader.CreateInput("wrapS", types.Token).Set("clamp")
        shader.CreateInput("wrapT", types.Token).Set("clamp")
        shader.CreateInput("st", types.Float2).ConnectToSource(reader.ConnectableAPI(), "result")
        return shader

    def connect(name: str, kind: Any, shader: Any, channel: str) -> None:
        surface.CreateInput(name, kind).ConnectToSource(shader.ConnectableAPI(), channel)
        shader.CreateOutput(channel, types.Float if channel in "rgb" and len(channel) == 1 else types.Float3)

    pbr = described["pbrMetallicRoughness"]
    if "baseColorTexture" in pbr:
        connect("diffuseColor", types.Color3f, texture("BC", pbr["baseColorTexture"], "sRGB"), "rgb")
    else:
        colors = UsdShade.Shader.Define(stage, f"{path}/Colors")
        colors.CreateIdAttr("UsdPrimvarReader_float3")
        colors.CreateInput("varname", types.String).Set("displayColor")
        connect("diffuseColor", types.Color3f, colors, "result")
    if "occlusionTexture" in described:
        connect("occlusion", types.Float, texture("AO", described["occlusionTexture"], "raw"), "r")
    surface.CreateInput("roughness", types.Float).Set(float(pbr.get("roughnessFactor", 1.0)))
    surface.CreateInput("metallic", types.Float).Set(float(pbr.get("metallicFactor", 1.0)))
    if "normalTexture" in described:
        bumps = texture("N", described["normalTexture"], "raw")
        bumps.CreateInput("scale", types.Float4).Set(Gf.Vec4f(2.0, 2.0, 2.0, 1.0))
        bumps.CreateInput("bias", types.Float4).Set(Gf.Vec4f(-1.0, -1.0, -1.0, 0.0))
        connect("normal", types.Normal3f, bumps, "rgb")
    return material


def _usdz(draft: AssetDraft) -> Made:
    preview = draft.files.get("thumbnail.png", b"")
    return usdz(StageContent(draft.levels, draft.slug, draft.metadata, draft.screen_sizes, draft.hulls, preview))


USDZ = Deliverable(
    gate=GATE,
    tool=TOOL,
    stage="usd",
    moment="after_pictures",
    unwanted=lambda profile: "" if profile.usdz else "the profile orders no USDZ",
    make=_usdz,
    media_types={"usdz": "model/vnd.usdz+zip"},
)
