// SPDX-License-Identifier: GPL-3.0-or-later

// The list of jobs, and the tasks of the one that is open.

import { h, setText, setStatus, KeyedList, ago } from '/app/dom.js';

/** How far a job is, from 0 to 1. A job without steps yet is measured by its status alone. */
export function progress(job) {
  if (job.status === 'completed') return 1;
  return job.steps_total > 0 ? job.steps_completed / job.steps_total : 0;
}

/** The numbers below the bar. Steps are frames for a render; a job with one step per task needs no second count. */
function factsOf(job) {
  const counts = job.task_counts ?? {};
  const total = Object.values(counts).reduce((sum, n) => sum + n, 0);
  const facts = [`${job.steps_completed} of ${job.steps_total} steps`];
  if (total && total !== job.steps_total) facts.push(`${counts.completed} of ${total} tasks`);
  if (counts.active) facts.push(`${counts.active} running`);
  if (counts.failed + counts.soft_failed) facts.push(`${counts.failed + counts.soft_failed} failed`);
  facts.push(job.type, `priority ${job.priority}`, `updated ${ago(job.updated)}`);
  return facts;
}

/** One task as a row of a table. */
function taskRow(openLog) {
  return (task) => {
    const number = h('td', { className: 'number muted' });
    const status = h('span', { className: 'pill' });
    const name = h('button', { type: 'button', className: 'link', click: () => openLog(task.id) });
    const steps = h('td', { className: 'number' });
    const worker = h('td', {});
    const updated = h('td', { className: 'muted' });
    const element = h('tr', {}, number, h('td', { className: 'grow' }, name), h('td', {}, status), steps, worker, updated);
    return {
      element,
      update(t) {
        setText(number, String(t.index_in_job));
        setText(name, t.name);
        setText(status, t.status);
        setStatus(status, t.status);
        setText(steps, `${t.steps_completed}/${t.steps_total}`);
        setText(worker, t.worker?.name ?? '');
        setText(updated, ago(t.updated));
      },
    };
  };
}

function tasksPanel(openLog) {
  const activity = h('p', { className: 'activity' });
  const body = h('tbody');
  const heads = ['#', 'Task', 'Status', 'Steps', 'Worker', 'Updated'].map((text) => h('th', {}, text));
  const rest = h('p', { className: 'activity', hidden: true });
  const element = h('div', { className: 'tasks', hidden: true }, activity,
    h('div', { className: 'scroll' }, h('table', {}, h('thead', {}, h('tr', {}, ...heads)), body)), rest);
  const rows = new KeyedList(body, taskRow(openLog));
  return {
    element,
    update(job, tasks, more) {
      setText(activity, job.activity || 'No activity yet.');
      rows.update(tasks);
      rest.hidden = !more;
      setText(rest, `Only the first ${tasks.length} tasks are shown; “flamenco tasks list ${job.id}” lists them all.`);
    },
  };
}

/** Makes the card of a job. */
export function jobCard({ toggle, openLog }) {
  return (first) => {
    const name = h('span', { className: 'name' });
    const status = h('span', { className: 'pill' });
    const percent = h('span', { className: 'percent' });
    const bar = h('i');
    const facts = h('span', { className: 'facts' });
    const panel = tasksPanel(openLog);
    const head = h('button', { type: 'button', className: 'job-head', 'aria-expanded': 'false', click: () => toggle(first.id) },
      h('span', { className: 'row' }, name, status, h('span', { className: 'spacer' }), percent),
      h('span', { className: 'bar', 'aria-hidden': 'true' }, bar), facts);
    const element = h('li', { className: 'card' }, head, panel.element);
    return {
      element,
      update(job) {
        const part = progress(job);
        setStatus(element, job.status);
        setText(name, job.name);
        setText(status, job.status);
        setText(percent, `${Math.floor(part * 100)} %`);
        bar.style.setProperty('--part', part);
        const texts = factsOf(job);
        while (facts.childElementCount < texts.length) facts.append(h('span'));
        while (facts.childElementCount > texts.length) facts.lastElementChild.remove();
        texts.forEach((text, i) => setText(facts.children[i], text));

        element.classList.toggle('open', Boolean(job.open));
        head.setAttribute('aria-expanded', String(Boolean(job.open)));
        panel.element.hidden = !job.open;
        if (job.open) panel.update(job, job.open.tasks, job.open.more);
      },
    };
  };
}
