// SPDX-License-Identifier: GPL-3.0-or-later

// What people do with tasks: from which status, what it means, and the requests.

import { counted, doAll } from '@/actions/bulk'
import { body, client, type TaskStatus } from '@/api/client'
import type { IconName } from '@/components/icons'
import { ask } from '@/composables/useConfirm'
import type { TaskRow } from '@/stores/tasks'

type Actionable = Pick<TaskRow, 'id' | 'name' | 'status'>

export interface TaskAction {
  key: string
  title: string
  icon: IconName
  danger?: boolean
  fits: (task: Actionable) => boolean
  run: (tasks: readonly Actionable[]) => Promise<void>
}

interface Plan {
  title: string
  from: TaskStatus[]
  to: TaskStatus
  done: string
  text: string
  danger?: boolean
}

function planned(plan: Plan): Pick<TaskAction, 'fits' | 'run' | 'title' | 'danger'> {
  const fits = (task: Actionable) => plan.from.includes(task.status)
  return {
    title: plan.title,
    danger: plan.danger,
    fits,
    run: async (tasks) => {
      const fitting = tasks.filter(fits)
      const name = fitting.length === 1 ? `“${fitting[0]?.name}”` : counted(fitting.length, 'task')
      const rest = tasks.length - fitting.length
      const text = [
        plan.text,
        ...(rest > 0 ? [`${counted(rest, 'selected task')} cannot be changed like that and will stay as it is.`] : []),
      ]
      const question = {
        title: `${plan.title} ${name}?`,
        text,
        confirm: `${plan.title} ${counted(fitting.length, 'task')}`,
        danger: plan.danger,
      }
      if ((await ask(question)) === undefined) return
      const change = { status: plan.to, reason: `${plan.done} in the web app` }
      await doAll(fitting, 'task', plan.done, (task) =>
        body(
          client.POST('/api/v3/tasks/{task_id}/setstatus', { params: { path: { task_id: task.id } }, body: change }),
        ),
      )
    },
  }
}

export const taskActions: readonly TaskAction[] = [
  {
    key: 'requeue',
    icon: 'again',
    ...planned({
      title: 'Requeue',
      from: ['canceled', 'completed', 'failed', 'soft-failed'],
      to: 'queued',
      done: 'requeued',
      text: 'It runs again, and so does what depends on it. Its failures are forgotten.',
    }),
  },
  {
    key: 'cancel',
    icon: 'stop',
    ...planned({
      title: 'Cancel',
      from: ['active', 'queued', 'soft-failed'],
      to: 'canceled',
      done: 'canceled',
      text: 'What runs is stopped and its work is lost. What depends on it cannot run.',
      danger: true,
    }),
  },
]
