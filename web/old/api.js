// SPDX-License-Identifier: GPL-3.0-or-later

// The part of the Manager's API that this page uses.

const base = '/api/v3';

async function get(path, { signal } = {}) {
  const answer = await fetch(base + path, { signal, cache: 'no-cache' });
  if (!answer.ok) {
    const error = await answer.json().catch(() => ({}));
    throw new Error(error.message || `${answer.status} ${answer.statusText}`);
  }
  return answer;
}

async function json(path, options) {
  const answer = await get(path, options);
  return answer.status === 204 ? undefined : answer.json();
}

/** Reads one page of a list; next is the cursor of the page after it, "" at the end. */
async function page(path, query, options) {
  const answer = await get(`${path}?${new URLSearchParams(query)}`, options);
  return { body: await answer.json(), next: answer.headers.get('X-Flamenco-Next') ?? '' };
}

export const api = {
  version: (o) => json('/version', o),
  status: (o) => json('/status', o),
  jobs: (query, o) => page('/jobs', query, o),
  job: (id, o) => json(`/jobs/${id}`, o),
  tasks: (id, query, o) => page(`/jobs/${id}/tasks`, query, o),
  task: (id, o) => json(`/tasks/${id}`, o),
  logInfo: (id, o) => json(`/tasks/${id}/log`, o),
  logTail: async (id, o) => (await get(`/tasks/${id}/logtail`, o)).text(),
  workers: (o) => json('/worker-mgt/workers', o),
  worker: (id, o) => json(`/worker-mgt/workers/${id}`, o),
};
