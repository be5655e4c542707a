@tool
extends EditorScenePostImport
## One scene of all levels out of a collected asset, for Godot 4.3 or newer: dreamfoundry_godot.gd
##
## NOT RUN by those who wrote it: only its syntax was checked. It is written to the documented
## interfaces of Godot 4.3.
##
##     dreamfoundry collect LIBRARY FOLDER --engine godot        (FOLDER inside of the project)
##
## Project Settings, Import Defaults, Scene: set Import Script to this file, and import again what
## was imported before. It changes NAME_godot.glb (or NAME.glb, where there is no such file) and
## leaves every other scene as it is. The imported scene has a mesh for each level with its range of
## distances, one StaticBody3D with all convex shapes, and the provenance of asset.json as metadata
## "dreamfoundry" of its root.

## Vertical angle of view that switching distances are for; Camera3D's default.
const FOV_DEG := 75.0

## Share of a distance by which a level changes late, so that it does not flicker at the border.
const MARGIN := 0.1


func _post_import(scene: Node) -> Object:
	var file := get_source_file()
	var folder := file.get_base_dir()
	var text := FileAccess.get_file_as_string(folder.path_join("asset.json"))
	var asset: Variant = JSON.parse_string(text) if text else null
	if not asset is Dictionary:
		return scene

	var levels := _levels_of(asset)
	var bundle: String = asset["slug"] + "_godot.glb"
	var has_bundle := FileAccess.file_exists(folder.path_join(bundle))
	if levels.is_empty() or file.get_file() != (bundle if has_bundle else levels[0]):
		return scene

	var finest := _first_mesh(scene)
	if finest == null:
		push_error("%s: no mesh in it" % file)
		return scene

	var ends := _switch_distances(asset, levels)
	var meshes: Array[MeshInstance3D] = [finest]
	for number in range(1, levels.size()):
		var instance := MeshInstance3D.new()
		instance.name = "%s_LOD%d" % [asset["slug"], number]
		instance.mesh = _mesh_of(folder.path_join(levels[number]))
		if instance.mesh == null:
			push_error("%s: cannot be read" % levels[number])
			continue
		finest.get_parent().add_child(instance)
		instance.owner = scene
		meshes.append(instance)
	for number in meshes.size():
		_show_between(meshes[number], ends[number - 1] if number else 0.0, ends[number])

	_unite_bodies(scene)
	scene.set_meta("dreamfoundry", asset["metadata"])
	return scene


## File names of the levels, finest first.
func _levels_of(asset: Dictionary) -> PackedStringArray:
	var by_level := {}
	for file: String in asset["files"]:
		if asset["files"][file].get("role", "") == "level":
			by_level[int(asset["files"][file]["level"])] = file
	var numbers := by_level.keys()
	numbers.sort()
	var names := PackedStringArray()
	for number: int in numbers:
		names.append(by_level[number])
	return names


## Distance in metres at which each level gives way to the next one; 0 for the last: it never does.
func _switch_distances(asset: Dictionary, levels: PackedStringArray) -> PackedFloat32Array:
	var size: Array = asset["dimensions_m"]
	var diagonal := Vector3(size[0], size[1], size[2]).length()
	var distances := PackedFloat32Array()
	var share := 1.0
	for number in range(1, levels.size()):
		share = minf(asset["files"][levels[number]].get("screen_size", share / 2.0), share * 0.99)
		distances.append(diagonal / (2.0 * share * tan(deg_to_rad(FOV_DEG) / 2.0)))
	distances.append(0.0)
	return distances


func _show_between(instance: MeshInstance3D, begin: float, end: float) -> void:
	instance.visibility_range_begin = begin
	instance.visibility_range_begin_margin = begin * MARGIN
	instance.visibility_range_end = end
	instance.visibility_range_end_margin = end * MARGIN


## The mesh of another file, read here: that file may not have been imported yet.
func _mesh_of(path: String) -> Mesh:
	var document := GLTFDocument.new()
	var state := GLTFState.new()
	state.handle_binary_image = GLTFState.HANDLE_BINARY_EMBED_AS_UNCOMPRESSED
	if document.append_from_file(path, state) != OK:
		return null
	var root := document.generate_scene(state)
	var mesh: Mesh = null
	for node in root.find_children("*", "ImporterMeshInstance3D", true, false):
		mesh = (node as ImporterMeshInstance3D).mesh.get_mesh()
	for node in root.find_children("*", "MeshInstance3D", true, false):
		mesh = (node as MeshInstance3D).mesh
	root.free()
	return mesh


func _first_mesh(scene: Node) -> MeshInstance3D:
	if scene is MeshInstance3D:
		return scene
	for node in scene.find_children("*", "MeshInstance3D", true, false):
		return node
	return null


## All convex shapes in one body: a prop that moves is one thing.
func _unite_bodies(scene: Node) -> void:
	var bodies := scene.find_children("*", "StaticBody3D", true, false)
	for number in range(1, bodies.size()):
		for shape in bodies[number].get_children():
			if shape is CollisionShape3D:
				bodies[number].remove_child(shape)
				shape.owner = null
				bodies[0].add_child(shape)
				shape.owner = scene
		bodies[number].get_parent().remove_child(bodies[number])
		bodies[number].free()
