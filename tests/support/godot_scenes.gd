extends SceneTree
# Print every imported GLB of a Godot 3 project as lines "FILE NODE CLASS MATERIAL": for tests/integration/test_kits.py


func show(node, file):
	var material = "-"
	if node is MeshInstance and node.mesh.surface_get_material(0):
		material = node.mesh.surface_get_material(0).resource_path
	print("node\t%s\t%s\t%s\t%s" % [file, node.name, node.get_class(), material])
	for child in node.get_children():
		show(child, file)


func _init():
	var folder = Directory.new()
	folder.open("res://")
	folder.list_dir_begin()
	var file = folder.get_next()
	while file != "":
		if file.ends_with(".glb"):
			show(load("res://" + file).instance(), file)
		file = folder.get_next()
	quit()
