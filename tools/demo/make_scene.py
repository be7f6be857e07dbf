# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the demo's files: a linked library, a texture, and an animated scene that uses both.

Run by Blender 3.x, 4.x or 5.x without a window:
blender -b --factory-startup --python make_scene.py -- --folder DIR --frames N --width W --height H
Only what these versions share is used; Cycles on the CPU is the one engine that renders without a graphics card.
"""

import argparse
import math
import sys
from pathlib import Path

import bpy

PINK = (0.90, 0.24, 0.32, 1.0)
DARK = (0.03, 0.03, 0.04, 1.0)
LEG = (0.80, 0.42, 0.36, 1.0)


def material(name, colour, roughness=0.6):
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    shader = next(n for n in made.node_tree.nodes if n.type == "BSDF_PRINCIPLED")
    shader.inputs["Base Color"].default_value = colour
    shader.inputs["Roughness"].default_value = roughness
    return made, shader


def put(obj, collection, parent=None):
    """Move obj, which an operator has put into the active collection, into the given one."""
    for present in list(obj.users_collection):
        present.objects.unlink(obj)
    collection.objects.link(obj)
    obj.parent = parent
    return obj


def ball(name, collection, parent, at, scale, mat, turn=(0, 0, 0)):
    bpy.ops.mesh.primitive_uv_sphere_add(segments=32, ring_count=16, radius=1)
    obj = put(bpy.context.object, collection, parent)
    obj.name, obj.location, obj.scale, obj.rotation_euler = name, at, scale, turn
    bpy.ops.object.shade_smooth()
    obj.data.materials.append(mat)
    return obj


def tube(name, collection, parent, points, radius, mat):
    """A smooth tube through the points."""
    curve = bpy.data.curves.new(name, "CURVE")
    curve.dimensions = "3D"
    curve.bevel_depth = radius
    curve.bevel_resolution = 3
    spline = curve.splines.new("BEZIER")
    spline.bezier_points.add(len(points) - 1)
    for bezier, point in zip(spline.bezier_points, points):
        bezier.co = point
        bezier.handle_left_type = bezier.handle_right_type = "AUTO"
    curve.materials.append(mat)
    obj = bpy.data.objects.new(name, curve)
    collection.objects.link(obj)
    obj.parent = parent
    return obj


def make_library(path):
    """A bird that looks around, in a file of its own, to be linked."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    collection = bpy.data.collections.new("Flamingo")
    bpy.context.scene.collection.children.link(collection)
    pink, _ = material("Feathers", PINK)
    dark, _ = material("Beak", DARK, 0.3)
    leg, _ = material("Leg", LEG)

    root = bpy.data.objects.new("Flamingo", None)
    collection.objects.link(root)
    ball("Body", collection, root, (0, 0, 1.75), (0.62, 0.40, 0.42), pink, (0, -0.2, 0))
    ball("Tail", collection, root, (-0.58, 0, 1.66), (0.30, 0.18, 0.15), pink, (0, -0.5, 0))
    tube("Neck", collection, root, [(0.42, 0, 1.85), (0.80, 0, 2.05), (0.62, 0, 2.50), (0.86, 0, 2.85)], 0.09, pink)
    ball("Head", collection, root, (0.92, 0, 2.90), (0.20, 0.15, 0.15), pink, (0, 0.3, 0))
    tube("Beak", collection, root, [(1.05, 0, 2.88), (1.24, 0, 2.80), (1.26, 0, 2.62)], 0.055, dark)
    for side in (-1, 1):
        ball("Eye", collection, root, (0.99, side * 0.12, 2.95), (0.03, 0.03, 0.03), dark)
    tube("Standing leg", collection, root, [(0, 0.12, 1.5), (0, 0.12, 0.8), (0, 0.12, 0)], 0.04, leg)
    tube("Lifted leg", collection, root, [(0, -0.12, 1.5), (-0.05, -0.12, 0.9), (0.25, -0.05, 1.0), (0, 0.1, 0.8)], 0.04, leg)
    bpy.ops.wm.save_as_mainfile(filepath=str(path), compress=True)


def make_texture(path, side=256):
    """Rings on a pond, as a picture that the scene loads from its own folder."""
    image = bpy.data.images.new("pond", side, side)
    pixels = []
    for y in range(side):
        for x in range(side):
            away = math.hypot(x - side / 2, y - side / 2) / side
            wave = 0.5 + 0.5 * math.cos(away * 60)
            pixels += (0.05 + 0.10 * wave, 0.30 + 0.22 * wave, 0.42 + 0.25 * wave, 1.0)
    image.pixels = pixels
    image.filepath_raw = str(path)
    image.file_format = "PNG"
    image.save()
    bpy.data.images.remove(image)


def add_pond(scene, texture):
    bpy.ops.mesh.primitive_plane_add(size=14)
    pond = bpy.context.object
    mat, shader = material("Pond", (1, 1, 1, 1), 0.35)
    nodes = mat.node_tree.nodes
    image = nodes.new("ShaderNodeTexImage")
    image.image = bpy.data.images.load(str(texture))
    mat.node_tree.links.new(image.outputs["Color"], shader.inputs["Base Color"])
    pond.data.materials.append(mat)


def add_birds(scene, library, frames):
    with bpy.data.libraries.load(str(library), link=True, relative=True) as (_, wanted):
        wanted.collections = ["Flamingo"]
    flock = (((0.0, 0.0, 0.0), 1.0, 0.0), ((-1.9, 1.9, 0.0), 0.8, 0.9), ((1.6, 2.7, 0.0), 0.7, 2.6))
    for index, (at, scale, turn) in enumerate(flock):
        bird = bpy.data.objects.new(f"Bird {index + 1}", None)
        bird.instance_type = "COLLECTION"
        bird.instance_collection = wanted.collections[0]
        bird.location, bird.scale = at, (scale, scale, scale)
        scene.collection.objects.link(bird)
        for frame, lean in ((1, -0.12), (frames // 2 + 1, 0.12), (frames + 1, -0.12)):
            bird.rotation_euler = (lean if index % 2 else -lean, 0, turn + 2 * lean)
            bird.keyframe_insert("rotation_euler", frame=frame)


def add_light(scene):
    sun = bpy.data.objects.new("Sun", bpy.data.lights.new("Sun", "SUN"))
    sun.data.energy, sun.data.angle = 3.2, 0.05
    sun.rotation_euler = (math.radians(48), 0, math.radians(35))
    scene.collection.objects.link(sun)
    scene.world = bpy.data.worlds.new("Sky")
    scene.world.use_nodes = True
    sky = next(n for n in scene.world.node_tree.nodes if n.type == "BACKGROUND")
    sky.inputs["Color"].default_value = (0.95, 0.72, 0.58, 1.0)
    sky.inputs["Strength"].default_value = 0.8


def add_camera(scene, frames):
    """A camera that goes once around the pond while the frames last."""
    pivot = bpy.data.objects.new("Pivot", None)
    pivot.location = (0, 0.6, 1.5)
    scene.collection.objects.link(pivot)
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    camera.location, camera.rotation_euler = (0, -8.2, 0.9), (math.radians(84), 0, 0)
    camera.parent = pivot
    scene.collection.objects.link(camera)
    scene.camera = camera
    bpy.context.preferences.edit.keyframe_new_interpolation_type = "LINEAR"
    for frame, turn in ((1, 0.0), (frames + 1, 2 * math.pi)):
        pivot.rotation_euler.z = turn
        pivot.keyframe_insert("rotation_euler", index=2, frame=frame)


def set_up_render(scene, frames, width, height):
    scene.render.engine = "CYCLES"
    scene.cycles.device = "CPU"
    scene.cycles.samples = 6
    scene.cycles.use_adaptive_sampling = False
    scene.cycles.use_denoising = False
    scene.cycles.max_bounces = 2
    scene.cycles.blur_glossy = 1.0
    scene.render.resolution_x, scene.render.resolution_y = width, height
    scene.render.resolution_percentage = 100
    scene.render.fps = 24
    scene.view_settings.view_transform = "Standard"
    scene.render.image_settings.file_format = "PNG"
    scene.frame_start, scene.frame_end = 1, frames


def main():
    parser = argparse.ArgumentParser(prog="make_scene.py")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--frames", type=int, required=True)
    parser.add_argument("--width", type=int, required=True)
    parser.add_argument("--height", type=int, required=True)
    args = parser.parse_args(sys.argv[sys.argv.index("--") + 1 :])

    library, texture = args.folder / "library" / "flamingo.blend", args.folder / "textures" / "pond.png"
    for path in (library, texture):
        path.parent.mkdir(parents=True, exist_ok=True)
    make_library(library)

    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.context.preferences.filepaths.save_version = 0
    scene = bpy.context.scene
    # A library and a picture are only given relative paths once the file has a place.
    shot = args.folder / "pond.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(shot), compress=True)
    make_texture(texture)
    add_pond(scene, texture)
    add_birds(scene, library, args.frames)
    add_light(scene)
    add_camera(scene, args.frames)
    set_up_render(scene, args.frames, args.width, args.height)
    bpy.ops.file.make_paths_relative()
    bpy.ops.wm.save_mainfile(compress=True)


try:
    main()
except Exception:
    # Blender itself exits with 0 when a script fails.
    import traceback

    traceback.print_exc()
    sys.stderr.flush()
    sys.exit(1)
