"""The USDZ holds the levels of the GLBs in metres, as one component that the validators of USD accept."""

import tempfile
import time
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from dreamfoundry.asset.files.glb import split_glb
from dreamfoundry.asset.files.glb_reader import Glb
from dreamfoundry.asset.files.gltf_writer import write_collision_glb, write_glb
from dreamfoundry.asset.files.png import encode_png
from dreamfoundry.asset.files.usdz import StageContent, usdz, validation_errors
from dreamfoundry.asset.surface.collision import collision_hull
from dreamfoundry.records import ColoredMesh, Surface, TexturedMesh

pxr = pytest.importorskip("pxr", reason="usd-core is not installed (pip install 'dreamfoundry[usd]')")

METADATA = {"asset_key": "a" * 64, "prompt": "a beacon \u2014 gray"}


@pytest.fixture(scope="module")
def levels(detailed_beacon: TexturedMesh) -> list[Glb]:
    return [
        Glb(
            f"beacon{level}.glb",
            write_glb(detailed_beacon, slug="beacon", level=level, metadata=METADATA, copyright_text="nobody"),
        )
        for level in (0, 1)
    ]


@pytest.fixture(scope="module")
def content(levels: list[Glb], torus_surface: Surface) -> StageContent:
    hulls = [collision_hull(torus_surface, count) for count in (8, 32)]
    data = write_collision_glb(hulls, slug="beacon", metadata=METADATA, copyright_text="nobody")
    sizes = {0: {"screen_px": 1080.0, "screen_size": 1.0}, 1: {"screen_px": 270.0, "screen_size": 0.25}}
    preview = encode_png(np.full((8, 8, 4), 90, np.uint8))
    return StageContent(levels, "beacon", METADATA, sizes, Glb("beacon_collision.glb", data), preview)


@pytest.fixture(scope="module")
def package(content: StageContent, tmp_path_factory: pytest.TempPathFactory) -> Path:
    files, findings = usdz(content)
    assert findings == []
    assert set(files) == {"beacon.usdz"}
    path = tmp_path_factory.mktemp("usd") / "beacon.usdz"
    path.write_bytes(files["beacon.usdz"])
    return path


def test_the_stage_is_a_component_in_metres_with_its_levels_as_variants(
    package: Path, textured_beacon: TexturedMesh
) -> None:
    from pxr import Usd, UsdGeom

    stage = Usd.Stage.Open(str(package))
    root = stage.GetDefaultPrim()

    assert root.GetName() == "beacon"
    assert Usd.ModelAPI(root).GetKind() == "component"
    assert (UsdGeom.GetStageMetersPerUnit(stage), UsdGeom.GetStageUpAxis(stage)) == (1.0, "Y")
    assert Usd.ModelAPI(root).GetAssetVersion() == "a" * 64
    levels = root.GetVariantSets().GetVariantSet("LOD")
    assert levels.GetVariantNames() == ["LOD0", "LOD1"]
    assert levels.GetVariantSelection() == "LOD0"
    mesh = UsdGeom.Mesh(stage.GetPrimAtPath("/beacon/beacon_LOD0"))
    np.testing.assert_array_equal(np.array(mesh.GetPointsAttr().Get()), textured_beacon.vertices)
    st = np.array(UsdGeom.PrimvarsAPI(mesh).GetPrimvar("st").Get())
    np.testing.assert_allclose(st, textured_beacon.uvs * (1, -1) + (0, 1), atol=1e-6)
    assert mesh.GetSubdivisionSchemeAttr().Get() == "none"
    np.testing.assert_array_equal(np.array(mesh.GetExtentAttr().Get())[1], textured_beacon.vertices.max(axis=0))


def test_a_stage_that_refers_to_the_file_still_tells_whose_it_is(package: Path, tmp_path: Path) -> None:
    from pxr import Usd

    set_of_props = Usd.Stage.CreateNew(str(tmp_path / "room.usda"))
    prop = set_of_props.DefinePrim("/Room/Prop")
    prop.GetReferences().AddReference(str(package))

    told = prop.GetCustomDataByKey("dreamfoundry")
    assert told == {"id": "beacon", "sidecar": "asset.json", "asset_key": "a" * 64}


def test_every_level_tells_the_size_on_the_screen_that_it_is_good_for(package: Path, content: StageContent) -> None:
    from pxr import Usd

    stage = Usd.Stage.Open(str(package))
    levels = stage.GetDefaultPrim().GetVariantSets().GetVariantSet("LOD")
    for number, name in enumerate(levels.GetVariantNames()):
        levels.SetVariantSelection(name)
        told = stage.GetPrimAtPath(f"/beacon/beacon_{name}").GetCustomDataByKey("dreamfoundry")
        assert told == {"level": number, **content.screen_sizes[number]}


def test_hulls_are_unseen_convex_colliders_of_one_rigid_body(package: Path, content: StageContent) -> None:
    from pxr import Usd, UsdGeom, UsdPhysics

    stage = Usd.Stage.Open(str(package))
    bodies = [prim for prim in stage.Traverse() if prim.HasAPI(UsdPhysics.RigidBodyAPI)]
    colliders = [prim for prim in stage.Traverse() if prim.HasAPI(UsdPhysics.CollisionAPI)]

    assert bodies == [stage.GetDefaultPrim()]
    assert content.hulls is not None
    assert [prim.GetName() for prim in colliders] == content.hulls.node_names
    for prim in colliders:
        mesh = UsdGeom.Mesh(prim)
        assert UsdPhysics.MeshCollisionAPI(prim).GetApproximationAttr().Get() == "convexHull"
        assert (mesh.GetPurposeAttr().Get(), mesh.GetVisibilityAttr().Get()) == ("guide", "invisible")
        np.testing.assert_array_equal(mesh.GetPointsAttr().Get(), content.hulls.mesh_of(prim.GetName()).vertices)


def test_the_preview_is_in_the_package_and_is_found_by_who_asks_for_it(package: Path, content: StageContent) -> None:
    from pxr import Usd, UsdMedia

    stage = Usd.Stage.Open(str(package))
    previews = UsdMedia.AssetPreviewsAPI(stage.GetDefaultPrim()).GetDefaultThumbnails()

    with zipfile.ZipFile(package) as archive:
        name = next(name for name in archive.namelist() if name.endswith("thumbnail.png"))
        assert archive.read(name) == content.preview_png
    assert previews.defaultImage.path.removeprefix("./") == name


def test_colours_are_srgb_and_maps_are_not(package: Path) -> None:
    from pxr import Usd, UsdShade

    stage = Usd.Stage.Open(str(package))
    spaces = {
        prim.GetName(): UsdShade.Shader(prim).GetInput("sourceColorSpace").Get()
        for prim in stage.Traverse()
        if prim.IsA(UsdShade.Shader) and UsdShade.Shader(prim).GetIdAttr().Get() == "UsdUVTexture"
    }

    assert spaces == {"BC": "sRGB", "AO": "raw", "N": "raw"}


def test_the_package_carries_the_textures_of_the_glb(package: Path, levels: list[Glb]) -> None:
    document, binary = split_glb(levels[0].data)
    view = document["bufferViews"][document["images"][0]["bufferView"]]
    with zipfile.ZipFile(package) as archive:
        names = archive.namelist()
        picture = archive.read(next(name for name in names if name.endswith("LOD0_BC.png")))

    assert names[0] == "beacon.usdc"
    assert len(names) == 8
    assert picture == binary[view["byteOffset"] : view["byteOffset"] + view["byteLength"]]


def test_a_second_package_has_the_same_bytes_later_and_elsewhere(
    package: Path, content: StageContent, monkeypatch: pytest.MonkeyPatch
) -> None:
    time.sleep(2.1)  # a zip file counts in steps of two seconds
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    time.tzset()
    try:
        files, _ = usdz(content)
    finally:
        monkeypatch.undo()
        time.tzset()

    assert files["beacon.usdz"] == package.read_bytes()
    with zipfile.ZipFile(BytesIO(files["beacon.usdz"])) as archive:
        assert archive.testzip() is None


def test_the_validators_see_what_is_missing_from_a_stage(tmp_path: Path) -> None:
    from pxr import Usd, UsdGeom

    bare = tmp_path / "bare.usda"
    stage = Usd.Stage.CreateNew(str(bare))
    UsdGeom.Mesh.Define(stage, "/thing")
    stage.GetRootLayer().Save()

    errors = " ".join(validation_errors(bare))
    assert "MissingDefaultPrim" in errors
    assert "MissingUpAxisMetadata" in errors


def test_a_level_without_a_texture_shows_the_colors_of_its_vertices(colored_beacon: ColoredMesh) -> None:
    from pxr import Usd, UsdGeom

    level = write_glb(colored_beacon, slug="beacon", level=0, metadata=METADATA, copyright_text="nobody")
    files, findings = usdz(StageContent([Glb("beacon.glb", level)], "beacon", METADATA))
    assert findings == []
    with tempfile.NamedTemporaryFile(suffix=".usdz") as file:
        file.write(files["beacon.usdz"])
        file.flush()
        stage = Usd.Stage.Open(file.name)
        (mesh,) = [UsdGeom.Mesh(prim) for prim in stage.Traverse() if prim.IsA(UsdGeom.Mesh)]
        assert np.allclose(mesh.GetDisplayColorAttr().Get(), colored_beacon.colors)
