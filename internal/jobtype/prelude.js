// SPDX-License-Identifier: GPL-3.0-or-later

// What scripts find in their world: the globals, the job they compile, and how the result leaves. Go calls the three
// functions that the last expression returns. A script can break all of this for itself; Go checks what comes out.

(function (host) {
  "use strict";
  const stringify = JSON.stringify;
  const batchSize = 500; // tasks per message: keeps memory flat and lets the Manager read while we go on

  let job = null; // the job being compiled

  function text(value) {
    if (typeof value === "string") return value;
    if (value instanceof Error) return String(value);
    if (typeof value === "object" && value !== null) {
      try {
        return stringify(value);
      } catch {
        return String(value);
      }
    }
    return String(value);
  }

  function quoted(value) {
    return stringify(String(value));
  }

  function printer(level) {
    return (...args) => host.log(level, args.map(text).join(" "));
  }

  // Go answers with a number or text, or {value} or {error}: an error made here has a stack, and with it the line of
  // the script.
  function call(name, ...args) {
    const answer = host[name](...args);
    if (typeof answer !== "object") return answer;
    if (answer.error !== undefined) throw new Error(answer.error);
    return answer.value;
  }

  function string(value, what) {
    if (value === undefined || value === null) throw new TypeError(`${what} is ${value}`);
    return String(value);
  }

  // ---- authoring

  function Task(name, type) {
    if (!new.target) return new Task(name, type);
    if (name === undefined || name === null || String(name).trim() === "") {
      throw new TypeError("author.Task: the name is empty");
    }
    if (type === undefined || type === null || String(type).trim() === "") {
      throw new TypeError(`author.Task ${quoted(name)}: the type is empty`);
    }
    this.name = String(name);
    this.type = String(type);
    this.priority = 50;
    this.commands = [];
    this.dependencies = [];
  }
  Task.prototype.addCommand = function (command) {
    if (typeof command !== "object" || command === null || typeof command.name !== "string") {
      throw new TypeError(`task ${quoted(this.name)}: addCommand needs an author.Command, not ${text(command)}`);
    }
    this.commands.push(command);
  };
  Task.prototype.addDependency = function (task) {
    if (!(task instanceof Task)) {
      throw new TypeError(`task ${quoted(this.name)}: addDependency needs an author.Task, not ${text(task)}`);
    }
    this.dependencies.push(task);
  };

  function Command(name, parameters, totalStepCount = 0) {
    if (!new.target) return new Command(name, parameters, totalStepCount);
    if (name === undefined || name === null || String(name).trim() === "") {
      throw new TypeError("author.Command: the name is empty");
    }
    this.name = String(name);
    this.parameters = parameters === undefined || parameters === null ? {} : parameters;
    this.totalStepCount = totalStepCount;
  }

  const author = { Task, Command };

  // ---- frames, paths, and the rest

  // An invalid range is nearly always a setting, and its name is what the submitter can act on.
  function framesError(range, error) {
    const settings = job === null ? {} : Object(job.settings);
    const key = Object.keys(settings).find((k) => settings[k] === range);
    return new Error(key === undefined ? error.message : `setting ${quoted(key)}: ${error.message}`);
  }

  function frameChunker(range, size) {
    try {
      return call("frameChunks", string(range, "the frame range"), Math.trunc(Number(size)) || 0);
    } catch (error) {
      throw framesError(range, error);
    }
  }

  function frameCount(range) {
    try {
      return call("frameCount", string(range, "the frame range"));
    } catch (error) {
      throw framesError(range, error);
    }
  }

  function formatTimestampLocal(time) {
    const ms = time instanceof Date ? time.getTime() : NaN;
    if (Number.isNaN(ms)) throw new TypeError(`formatTimestampLocal needs a date such as job.created, not ${text(time)}`);
    return call("formatTime", ms);
  }

  function shellSplit(line) {
    return call("shellSplit", string(line, "the text to split"));
  }

  const path = {
    basename: (p) => call("pathBase", string(p, "path.basename: the path")),
    dirname: (p) => call("pathDir", string(p, "path.dirname: the path")),
    join: (...parts) => call("pathJoin", ...parts.map((p) => string(p, "path.join: a part"))),
    stem: (p) => call("pathStem", string(p, "path.stem: the path")),
  };

  const process = { cwd: () => host.dir, platform: host.platform };

  // ---- scripts

  const modules = new Map([
    ["author", author],
    ["path", path],
    ["process", process],
  ]);

  function require(name) {
    const wanted = String(name).replace(/^\.\//, "");
    if (modules.has(wanted)) return modules.get(wanted);
    const file = host.resolve(wanted);
    if (file === "") throw new Error(`require: there is no script ${quoted(name)}`);
    if (!modules.has(file)) {
      const module = { exports: {} };
      modules.set(file, module.exports); // before running it, so that circular requires end
      run(file, module);
      modules.set(file, module.exports);
    }
    return modules.get(file);
  }

  require.thrown = host.thrown; // called by scripts that Go rewrote, see traceThrows

  // Go wraps the text of a script in a function and leaves it in host.loaded.
  function run(file, module) {
    call("load", file);
    const script = host.loaded;
    host.loaded = undefined;
    return script.call(globalThis, module.exports, module, require);
  }

  // ---- results

  // JSON would silently turn these into null or nothing, and a Worker would then fail for a reason nobody sees.
  function plain(value, where, depth) {
    switch (typeof value) {
      case "string":
      case "boolean":
      case "undefined":
        return;
      case "number":
        if (value - value !== 0) throw new TypeError(`${where} is ${value}`);
        return;
      case "object":
        if (value === null) return;
        if (depth > 50) throw new TypeError(`${where} is nested too deeply or contains itself`);
        if (Array.isArray(value)) {
          value.forEach((element, i) => plain(element, `${where}[${i}]`, depth + 1));
        } else {
          for (const key in value) plain(value[key], `${where}.${key}`, depth + 1);
        }
        return;
      default:
        throw new TypeError(`${where} is a ${typeof value}`);
    }
  }

  function isWhole(value, high) {
    return Number.isInteger(value) && value >= 0 && value <= high;
  }

  // The checks below run for every task, so they are cheap, and put words together only when something is wrong.

  function commandOut(command, task) {
    const where = () => `task ${quoted(task.name)}`;
    if (typeof command !== "object" || command === null || typeof command.name !== "string") {
      throw new TypeError(`${where()} has a command that is ${text(command)}, not an author.Command`);
    }
    const { name, totalStepCount: steps = 0 } = command;
    const parameters = command.parameters ?? {};
    if (typeof parameters !== "object" || Array.isArray(parameters)) {
      throw new TypeError(`${where()}, command ${quoted(name)}: the parameters are ${text(parameters)}, not an object`);
    }
    for (const key in parameters) {
      if (typeof parameters[key] === "function") plain(parameters, `${where()}, command ${quoted(name)}: parameter`, 0);
    }
    if (!isWhole(steps, 1e9)) {
      throw new TypeError(`${where()}, command ${quoted(name)}: totalStepCount is ${text(steps)}, must be a whole number`);
    }
    return { name, parameters, steps };
  }

  function dependenciesOut(task, indexes) {
    const found = new Set();
    for (const dependency of task.dependencies) {
      const index = indexes.get(dependency);
      if (index === undefined) {
        const name = dependency instanceof Task ? quoted(dependency.name) : text(dependency);
        throw new Error(`task ${quoted(task.name)} depends on ${name}, which is not a task of this job`);
      }
      found.add(index);
    }
    return [...found];
  }

  function taskOut(task, indexes) {
    const wrong = (what) => new TypeError(`task ${quoted(task.name)}: ${what}`);
    const { name, type, priority, commands, dependencies, onDisconnect = "" } = task;
    if (!Array.isArray(commands)) throw wrong(`commands is ${text(commands)}, not a list`);
    if (!Array.isArray(dependencies)) throw wrong(`dependencies is ${text(dependencies)}, not a list`);
    if (!isWhole(priority, 100)) throw wrong(`priority is ${text(priority)}, must be a whole number from 0 to 100`);
    if (onDisconnect !== "" && onDisconnect !== "keep" && onDisconnect !== "stop") {
      throw wrong(`onDisconnect is ${text(onDisconnect)}, must be "keep" or "stop"`);
    }
    const out = { name: String(name), type: String(type), priority, commands: [] };
    for (const command of commands) out.commands.push(commandOut(command, task));
    if (onDisconnect !== "") out.onDisconnect = onDisconnect;
    if (dependencies.length > 0) out.dependencies = dependenciesOut(task, indexes);
    return out;
  }

  // What JSON would change shows as null in it, or makes it throw: only then it is worth finding out what it was.
  function encode(batch) {
    let json = null;
    try {
      json = stringify(batch);
    } catch {
      // found below
    }
    if (json === null || json.includes("null")) {
      for (const task of batch) {
        for (const command of task.commands) {
          plain(command.parameters, `task ${quoted(task.name)}, command ${quoted(command.name)}: parameter`, 0);
        }
      }
    }
    return json ?? stringify(batch);
  }

  function emitTasks(tasks) {
    if (!Array.isArray(tasks)) throw new TypeError(`job.tasks is ${text(tasks)}, not a list`);
    if (tasks.length === 0) throw new Error("compileJob added no tasks to the job");
    if (tasks.length > host.maxTasks) throw tooMany();
    const indexes = new Map();
    tasks.forEach((task, index) => {
      if (!(task instanceof Task)) throw new TypeError(`job.tasks[${index}] is ${text(task)}, not an author.Task`);
      if (indexes.has(task)) throw new Error(`task ${quoted(task.name)} was added to the job twice`);
      indexes.set(task, index);
    });
    for (let i = 0; i < tasks.length; i += batchSize) {
      const batch = [];
      for (let j = i; j < tasks.length && j < i + batchSize; j++) batch.push(taskOut(tasks[j], indexes));
      call("emit", encode(batch));
    }
  }

  function tooMany() {
    return new RangeError(`the job has more than ${host.maxTasks} tasks`);
  }

  function emitJob(before) {
    const settings = job.settings;
    if (typeof settings !== "object" || settings === null || Array.isArray(settings)) {
      throw new TypeError(`job.settings is ${text(settings)}, not an object`);
    }
    plain(settings, "job.settings", 0);
    const set = {};
    for (const key of Object.keys(settings)) {
      if (settings[key] !== undefined && stringify(settings[key]) !== before.get(key)) set[key] = settings[key];
    }
    const unset = [...before.keys()].filter((key) => settings[key] === undefined);
    const metadata = {};
    for (const key of Object.keys(Object(job.metadata))) metadata[key] = String(job.metadata[key]);
    const name = String(job.name);
    if (name.trim() === "") throw new TypeError("job.name is empty");
    if (!isWhole(job.priority, 100)) {
      throw new TypeError(`job.priority is ${text(job.priority)}, must be a whole number from 0 to 100`);
    }
    return stringify({ name, priority: job.priority, set, unset, metadata });
  }

  function compile(file, input) {
    const compileJob = run(file, { exports: {} }).compileJob;
    if (typeof compileJob !== "function") throw new Error("the script has no function compileJob");
    const tasks = [];
    job = {
      jobID: input.id,
      name: input.name,
      jobType: input.type,
      priority: input.priority,
      status: "under-construction",
      created: new Date(input.created),
      settings: input.settings,
      metadata: input.metadata,
      storage: { shamanCheckoutID: input.checkout },
      workerTagUUID: input.workerTag,
      tasks,
      addTask(task) {
        if (!(task instanceof Task)) throw new TypeError(`job.addTask needs an author.Task, not ${text(task)}`);
        if (this.tasks.length >= host.maxTasks) throw tooMany();
        this.tasks.push(task);
      },
    };
    const before = new Map(Object.keys(input.settings).map((key) => [key, stringify(input.settings[key])]));
    const returned = compileJob(job);
    if (typeof returned?.then === "function") throw new Error("compileJob is asynchronous, which job types cannot be");
    emitTasks(job.tasks);
    return emitJob(before);
  }

  function describe(file) {
    const { JOB_TYPE: type, compileJob } = run(file, { exports: {} });
    if (typeof type !== "object" || type === null) throw new Error("the script has no object JOB_TYPE");
    if (typeof compileJob !== "function") throw new Error("the script has no function compileJob");
    return stringify(type);
  }

  // A thrown value can be anything, also an object whose getters throw.
  function failure(thrown) {
    try {
      if (thrown instanceof Error) {
        const message = thrown.name === "Error" ? String(thrown.message) : String(thrown);
        return { message, stack: typeof thrown.stack === "string" ? thrown.stack : "" };
      }
      const message = typeof thrown === "object" && typeof thrown?.message === "string" ? thrown.message : text(thrown);
      return { message, stack: "" };
    } catch {
      return { message: "it threw something that cannot be shown", stack: "" };
    }
  }

  function guarded(work) {
    return (...args) => {
      try {
        return stringify({ result: work(...args) });
      } catch (thrown) {
        return stringify({ failure: failure(thrown) });
      }
    };
  }

  Object.assign(globalThis, {
    author, path, process, require, frameChunker, frameCount, formatTimestampLocal, shellSplit,
    print: printer("print"),
    alert: printer("alert"),
  });

  return {
    describe: guarded(describe),
    compile: guarded((file, input) => compile(file, JSON.parse(input))),
    loaded: (script) => { host.loaded = script; },
  };
});
