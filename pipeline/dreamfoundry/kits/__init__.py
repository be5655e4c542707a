"""From a library into an engine: chosen assets in a folder, and a script that imports them.

engines   the files and the script that each engine wants
choice    which published assets, by prompt id, tag and profile
folder    their copies, and the record of what was copied

A kit is a file that is copied beside the assets and runs inside the program it is for, so it imports nothing of
ours and reads asset.json only.

dreamfoundry_blender   Blender: an asset library in one .blend file, with previews, tags and licence
dreamfoundry_unreal    Unreal Editor: levels in one StaticMesh, switch sizes, hulls
dreamfoundry_godot.gd  Godot 4: levels in one scene with visibility ranges, one body
DreamfoundryKit.cs     Unity: prefabs with an LODGroup and convex colliders
"""
