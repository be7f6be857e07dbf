// SPDX-License-Identifier: GPL-3.0-or-later

// Renders frames of a blend file in chunks and makes a preview video of them.

const JOB_TYPE = {
  label: "Simple Blender Render",
  description: "Renders a sequence of frames, and makes a preview video of it.",
  settings: [
    // Shown when submitting.
    {
      key: "frames",
      type: "string",
      required: true,
      eval: "f'{C.scene.frame_start}-{C.scene.frame_end}'",
      evalInfo: { showLinkButton: true, description: "The frame range of the scene" },
      description: "The frames to render, for example '47', '1-30' or '3, 5-10, 47..50'",
    },
    {
      key: "chunk_size",
      type: "int32",
      default: 1,
      propargs: { min: 1 },
      description: "How many frames one task renders",
      visible: "submission",
    },
    {
      key: "render_output_root",
      type: "string",
      subtype: "dir_path",
      required: true,
      visible: "submission",
      description: "The folder below which the frames are written",
    },
    {
      key: "add_path_components",
      type: "int32",
      required: true,
      default: 0,
      propargs: { min: 0, max: 32 },
      visible: "submission",
      description: "How many of the last folders of the blend file's path to repeat below the output folder",
    },
    {
      key: "render_output_path",
      type: "string",
      subtype: "file_path",
      editable: false,
      eval: "str(Path(abspath(settings.render_output_root), last_n_dir_parts(settings.add_path_components), jobname, '{timestamp}', '######'))",
      description: "Where the frames are written",
    },

    // Filled in by the add-on.
    { key: "blendfile", type: "string", required: true, visible: "web", description: "The blend file to render" },
    { key: "fps", type: "float", eval: "C.scene.render.fps / C.scene.render.fps_base", visible: "hidden" },
    { key: "format", type: "string", required: true, eval: "C.scene.render.image_settings.file_format", visible: "web" },
    {
      key: "image_file_extension",
      type: "string",
      required: true,
      eval: "C.scene.render.file_extension",
      visible: "hidden",
      description: "The extension of the frame files, with its dot",
    },
    {
      key: "has_previews",
      type: "bool",
      default: false,
      eval: "C.scene.render.image_settings.use_preview",
      visible: "hidden",
      description: "Whether Blender writes a JPEG beside each frame",
    },
    {
      key: "scene",
      type: "string",
      required: true,
      eval: "C.scene.name",
      visible: "web",
      description: "The scene to render",
    },
  ],
};

// A video cannot be split into chunks, and its frames cannot be rendered by several workers.
const VIDEO_FORMATS = ["FFMPEG", "AVI_RAW", "AVI_JPEG"];

// FFmpeg cannot show these as they should look.
const EXR_FORMATS = ["OPEN_EXR", "OPEN_EXR_MULTILAYER", "EXR", "MULTILAYER"];

// Existing frames are skipped, so that a task that runs again renders only what is missing.
const PREPARE_SCENE = [
  "import bpy",
  "render = bpy.context.scene.render",
  "render.use_file_extension = True",
  "render.use_overwrite = False",
  "render.use_placeholder = False",
].join("; ");

function compileJob(job) {
  const settings = job.settings;
  if (VIDEO_FORMATS.includes(settings.format)) {
    throw new Error(`setting "format": ${settings.format} is a video format; choose an image format, such as PNG`);
  }
  const output = settings.render_output_path || defaultOutput(job);
  settings.render_output_path = output.replaceAll("{timestamp}", formatTimestampLocal(job.created));

  const renderTasks = frameChunker(settings.frames, settings.chunk_size).map((chunk) => renderTask(settings, chunk));
  for (const task of renderTasks) {
    job.addTask(task);
  }

  const video = videoTask(settings);
  if (video !== null) {
    for (const task of renderTasks) {
      video.addDependency(task);
    }
    job.addTask(video);
  }
}

// The same path as the setting's expression gives, for those who submit without Blender.
function defaultOutput(job) {
  const settings = job.settings;
  const folders = path.dirname(settings.blendfile).split("/").filter((part) => part !== "" && part !== ".");
  const repeated = settings.add_path_components > 0 ? folders.slice(-settings.add_path_components) : [];
  const name = job.name.replaceAll(/[\\/]/g, "-");
  return path.join(settings.render_output_root, ...repeated, name, "{timestamp}", "######");
}

function renderTask(settings, chunk) {
  const parameters = {
    exe: "{blender}",
    exeArgs: "{blenderArgs}",
    argsBefore: [],
    blendfile: settings.blendfile,
    args: [
      "--scene", settings.scene,
      "--python-expr", PREPARE_SCENE,
      "--render-output", settings.render_output_path,
      "--render-format", settings.format,
      "--render-frame", chunk.replaceAll("-", ".."),
    ],
  };
  const task = author.Task(`render-${chunk}`, "blender");
  task.addCommand(author.Command("blender-render", parameters, frameCount(chunk)));
  return task;
}

// The task that makes the preview video, or null if there are no frames that a video can be made of.
function videoTask(settings) {
  const extension = videoInput(settings);
  if (!settings.fps || extension === null) {
    return null;
  }
  const folder = path.dirname(settings.render_output_path);
  const frames = frameChunker(settings.frames, frameCount(settings.frames))[0].match(/\d+/g); // sorted
  const range = `${frames[0]}-${frames[frames.length - 1]}`;
  const stem = path.stem(settings.blendfile).replace(/\.flamenco$/, "");
  const task = author.Task("preview-video", "ffmpeg");
  task.addCommand(
    author.Command("frames-to-video", {
      exe: "ffmpeg",
      fps: settings.fps,
      inputGlob: path.join(folder, `*${extension}`),
      outputFile: path.join(folder, `${stem}-${range}.mp4`),
      args: [
        "-c:v", "h264",
        "-crf", "20",
        "-g", "18",
        "-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2",
        "-pix_fmt", "yuv420p",
        "-y",
      ],
    }),
  );
  return task;
}

function videoInput(settings) {
  if (!EXR_FORMATS.includes(settings.format)) {
    return settings.image_file_extension;
  }
  return settings.has_previews ? ".jpg" : null;
}
