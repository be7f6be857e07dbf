// SPDX-License-Identifier: GPL-3.0-or-later

// What people do with Workers: what it means, and the requests.

import { counted, doAll } from '@/actions/bulk'
import { body, client, type WorkerStatus } from '@/api/client'
import type { IconName } from '@/components/icons'
import { ask } from '@/composables/useConfirm'
import type { WorkerRow } from '@/stores/workers'

export interface WorkerAction {
  key: string
  title: string
  icon: IconName
  danger?: boolean
  fits: (worker: WorkerRow) => boolean
  run: (workers: readonly WorkerRow[]) => Promise<void>
}

const path = (worker: { id: string }) => ({ path: { worker_id: worker.id } })

function named(workers: readonly WorkerRow[]): string {
  return workers.length === 1 && workers[0] ? workers[0].name : counted(workers.length, 'Worker')
}

function want(worker: WorkerRow, status: WorkerStatus, lazy: boolean) {
  return body(
    client.POST('/api/v3/worker-mgt/workers/{worker_id}/setstatus', {
      params: path(worker),
      body: { status, is_lazy: lazy },
    }),
  )
}

const isThere = (worker: WorkerRow) => worker.status !== 'offline' && worker.status !== 'error'

/** Asks for when, then wants a status of all that it fits. */
function change(title: string, status: WorkerStatus, done: string, text: string, fits: (worker: WorkerRow) => boolean) {
  return {
    title,
    fits,
    run: async (workers: readonly WorkerRow[]) => {
      const fitting = workers.filter(fits)
      const field = {
        label: 'When',
        value: 'lazy',
        options: [
          { value: 'lazy', label: 'After the task that it has' },
          { value: 'now', label: 'Now: the task is stopped and goes back to the queue' },
        ],
      }
      const when = await ask({ title: `${title}: ${named(fitting)}`, text: [text], confirm: title, field })
      if (when === undefined) return
      await doAll(fitting, 'Worker', done, (worker) => want(worker, status, when === 'lazy'))
    },
  }
}

export const workerActions: readonly WorkerAction[] = [
  {
    key: 'wake',
    title: 'Wake up',
    icon: 'sun',
    fits: (w) => w.status === 'asleep' || w.requested !== undefined,
    run: (workers) => {
      const fitting = workers.filter((w) => w.status === 'asleep' || w.requested !== undefined)
      return doAll(fitting, 'Worker', 'asked to be awake', (worker) => want(worker, 'awake', false))
    },
  },
  {
    key: 'sleep',
    icon: 'moonsleep',
    ...change(
      'Sleep',
      'asleep',
      'asked to sleep',
      'A Worker that sleeps stays in touch and takes no tasks until it is woken up.',
      (w) => isThere(w) && w.status !== 'asleep',
    ),
  },
  {
    key: 'restart',
    icon: 'again',
    ...change(
      'Restart',
      'restart',
      'asked to restart',
      'The program ends and its service starts it again.',
      (w) => isThere(w) && w.canRestart,
    ),
  },
  {
    key: 'off',
    icon: 'power',
    ...change(
      'Shut down',
      'offline',
      'asked to shut down',
      'The program ends. To have it back, somebody has to start it there.',
      isThere,
    ),
  },
  {
    key: 'remove',
    title: 'Remove',
    icon: 'trash',
    danger: true,
    fits: () => true,
    run: async (workers) => {
      const text = [
        'A task that it has goes back to the queue, and it has to register again. What it did stays in the history of tasks.',
        'This cannot be undone.',
      ]
      const answer = await ask({ title: `Remove ${named(workers)}?`, text, confirm: 'Remove', danger: true })
      if (answer === undefined) return
      await doAll(workers, 'Worker', 'removed', (worker) =>
        body(client.DELETE('/api/v3/worker-mgt/workers/{worker_id}', { params: path(worker) })),
      )
    },
  },
]
