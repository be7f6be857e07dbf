// SPDX-License-Identifier: GPL-3.0-or-later

// Says something and then waits: enough to see whether a farm works.

const JOB_TYPE = {
  label: "Echo Sleep Test",
  description: "Tries out the farm: one task that writes a message to its log, and tasks that sleep afterwards.",
  settings: [
    { key: "message", type: "string", required: true, description: "The text to write to the task log" },
    {
      key: "sleep_duration_seconds",
      type: "int32",
      default: 1,
      propargs: { min: 0 },
      description: "How many seconds each sleep task takes",
    },
    {
      key: "sleep_repeats",
      type: "int32",
      default: 1,
      propargs: { min: 0 },
      description: "How many sleep tasks to make",
    },
  ],
};

function compileJob(job) {
  const { message, sleep_duration_seconds: duration, sleep_repeats: repeats } = job.settings;

  const echo = author.Task("echo", "misc");
  echo.addCommand(author.Command("echo", { message }));
  job.addTask(echo);

  for (let i = 1; i <= repeats; i++) {
    const sleep = author.Task(`sleep-${i}`, "misc");
    sleep.addCommand(author.Command("sleep", { duration_in_seconds: duration }));
    sleep.addDependency(echo);
    job.addTask(sleep);
  }
}
