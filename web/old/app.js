// SPDX-License-Identifier: GPL-3.0-or-later

// The page: reads the state of the farm every few seconds while somebody looks, and shows it.

import { api } from '/app/api.js';
import { setText, setStatus, h, KeyedList } from '/app/dom.js';
import { jobCard } from '/app/jobs.js';
import { workerCard } from '/app/workers.js';
import { LogView } from '/app/log.js';

const refreshTime = 2000; // milliseconds between two readings
const slowestRetry = 15000;
const pageSize = 50; // jobs; "Show more" adds as many
const taskLimit = 500; // of the open job
const detailLimit = 40; // Workers that are asked for their task

const $ = (id) => document.getElementById(id);
const view = { limit: pageSize, search: '', openJob: '' };
const log = new LogView($('log'));
const openLog = (id) => log.open(id);
const jobs = new KeyedList($('jobs'), jobCard({ toggle, openLog }));
const workers = new KeyedList($('workers'), workerCard({ openLog }));

/** The address says which job is open and whose log is shown: /app/jobs/<job>/<task>. */
function readAddress() {
  const [, job = '', task] = location.pathname.match(/^\/app\/jobs\/([0-9a-f-]{36})(?:\/([0-9a-f-]{36}))?/) ?? [];
  view.openJob = job;
  if (task) log.open(task);
}

function toggle(id) {
  view.openJob = view.openJob === id ? '' : id;
  history.pushState(null, '', view.openJob ? `/app/jobs/${id}` : '/app/');
  refresh();
}

async function readJobs(signal) {
  const query = { limit: view.limit, order_by: '-created' };
  if (view.search) query.search = view.search;
  const { body, next } = await api.jobs(query, { signal });
  const list = body.jobs ?? [];
  if (view.openJob) {
    let job = list.find((j) => j.id === view.openJob);
    if (!job) {
      job = await api.job(view.openJob, { signal }).catch(() => undefined);
      if (job) list.unshift(job);
    }
    if (job) {
      const tasks = await api.tasks(job.id, { limit: taskLimit }, { signal });
      job.open = { tasks: tasks.body.tasks ?? [], more: tasks.next !== '' };
    }
  }
  return { list, next };
}

async function readWorkers(signal) {
  const list = (await api.workers({ signal })).workers ?? [];
  const order = (w) => `${w.status === 'offline' ? 1 : 0}${w.name.toLowerCase()}`;
  list.sort((a, b) => order(a).localeCompare(order(b), undefined, { numeric: true }));
  const details = list.slice(0, detailLimit).map((w) => api.worker(w.id, { signal }).catch(() => w));
  return [...await Promise.all(details), ...list.slice(detailLimit)];
}

function show(version, farm, { list, next }, crew) {
  document.title = version.name;
  setText($('farm-name'), version.name);
  setText($('farm-version'), version.version);
  setText($('farm-status'), farm.status);
  setStatus($('farm-status'), farm.status);
  showNotice(farm.problems ?? []);
  jobs.update(list);
  workers.update(crew);
  $('more-jobs').hidden = !next;
  $('no-jobs').hidden = list.length > 0;
  $('no-workers').hidden = crew.length > 0;
  showTotals(list, next, crew);
}

/** Why nothing is handed out, such as a maintenance. What runs goes on. */
function showNotice(problems) {
  const text = problems.map((p) => `${p[0].toUpperCase()}${p.slice(1)}.`).join(' ');
  setText($('notice'), `${text} What runs goes on; new jobs and tasks wait.`);
  $('notice').hidden = problems.length === 0;
}

function showTotals(list, next, crew) {
  const count = (...statuses) => list.filter((j) => statuses.includes(j.status)).length;
  const awake = crew.filter((w) => w.status === 'awake').length;
  const busy = crew.filter((w) => w.task?.status === 'active').length;
  const some = next ? '+' : '';
  const totals = [
    ['Active jobs', `${count('active')}${some}`], ['Queued', `${count('queued', 'requeueing')}${some}`],
    ['Completed', `${count('completed')}${some}`], ['Failed', `${count('failed')}${some}`],
    ['Workers awake', `${awake} of ${crew.length}`], ['Rendering now', String(busy)],
  ];
  const place = $('totals');
  totals.forEach(([label, value], i) => {
    if (!place.children[i]) place.append(h('div', {}, h('dt', {}, label), h('dd')));
    setText(place.children[i].querySelector('dd'), value);
  });
}

let timer;
let running;
let failures = 0;

async function refresh() {
  clearTimeout(timer);
  running?.abort();
  const mine = running = new AbortController();
  const { signal } = mine;
  let wait = refreshTime;
  try {
    const state = await Promise.all([api.version({ signal }), api.status({ signal }), readJobs(signal), readWorkers(signal)]);
    show(...state);
    await log.refresh(signal);
    failures = 0;
    $('trouble').hidden = true;
  } catch (error) {
    if (signal.aborted) return;
    wait = Math.min(slowestRetry, refreshTime * 2 ** ++failures);
    $('trouble').hidden = false;
    setText($('trouble'), `The Manager does not answer: ${error.message}. What you see may be out of date.`);
  }
  if (mine === running && document.visibilityState === 'visible') timer = setTimeout(refresh, wait);
}

document.addEventListener('visibilitychange', () => (document.visibilityState === 'visible' ? refresh() : clearTimeout(timer)));
addEventListener('popstate', () => { readAddress(); refresh(); });
$('more-jobs').addEventListener('click', () => { view.limit += pageSize; refresh(); });
$('search').addEventListener('input', (event) => { view.search = event.target.value.trim(); refresh(); });
log.onOpen = () => refresh();
setText($('worker-command'), `flamenco-worker -manager ${location.origin}`);
readAddress();
if (!log.task) refresh();
