// SPDX-License-Identifier: GPL-3.0-or-later

// The window with the end of a task's log.

import { api } from '/app/api.js';
import { setText, setStatus } from '/app/dom.js';

export class LogView {
  constructor(dialog) {
    this.dialog = dialog;
    this.task = '';
    this.onOpen = () => {};
    this.part = (name) => dialog.querySelector(`#log-${name}`);
    this.part('close').addEventListener('click', () => dialog.close());
    dialog.addEventListener('close', () => { this.task = ''; });
    dialog.addEventListener('click', (event) => { if (event.target === dialog) dialog.close(); });
  }

  open(taskID) {
    this.task = taskID;
    setText(this.part('text'), 'Reading …');
    if (!this.dialog.open) this.dialog.showModal();
    this.onOpen();
  }

  async refresh(signal) {
    if (!this.task) return;
    const id = this.task;
    const [task, info, tail] = await Promise.all([api.task(id, { signal }), api.logInfo(id, { signal }), api.logTail(id, { signal })]);
    if (this.task !== id) return;
    setText(this.part('title'), task.name);
    setText(this.part('status'), task.status);
    setStatus(this.part('status'), task.status);
    setText(this.part('activity'), task.activity || 'No activity yet.');
    const link = this.part('full');
    link.hidden = !info;
    if (info) link.href = info.url;
    const text = this.part('text');
    const atEnd = text.scrollTop + text.clientHeight >= text.scrollHeight - 4;
    setText(text, tail || 'There is no log yet.');
    if (atEnd) text.scrollTop = text.scrollHeight;
  }
}
