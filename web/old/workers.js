// SPDX-License-Identifier: GPL-3.0-or-later

// The list of Workers.

import { h, setText, setStatus, ago } from '/app/dom.js';

/** What a Worker is doing, in words. A task in another status than active is the last one it had. */
function doing(worker) {
  const wanted = worker.status_change ? `, ${worker.status_change.status} requested` : '';
  if (worker.task?.status === 'active') return worker.task.name + wanted;
  if (worker.status === 'awake') return 'waiting for work' + wanted;
  return `last seen ${ago(worker.last_seen)}${wanted}`;
}

/** Makes the card of a Worker. */
export function workerCard({ openLog }) {
  return () => {
    let task;
    const name = h('span', { className: 'name' });
    const status = h('span', { className: 'pill' });
    const version = h('span', { className: 'muted' });
    const work = h('span', { className: 'work' });
    const log = h('button', { type: 'button', className: 'link', hidden: true, click: () => openLog(task.id) }, 'Log');
    const element = h('li', { className: 'card worker' },
      h('div', { className: 'row' }, h('span', { className: 'dot' }), name, h('span', { className: 'spacer' }), version, status),
      h('div', { className: 'row' }, work, h('span', { className: 'spacer' }), log));
    return {
      element,
      update(worker) {
        task = worker.task;
        setStatus(element, worker.status);
        setText(name, worker.name);
        setText(status, worker.status);
        setText(version, worker.version);
        setText(work, doing(worker));
        log.hidden = !task;
      },
    };
  };
}
