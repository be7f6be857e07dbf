// SPDX-License-Identifier: GPL-3.0-or-later

// What people do with jobs: from which status, what it means, and the requests.

import { doAll, counted, forEach } from '@/actions/bulk'
import { body, client, need, page, pageSize, type JobStatus, type TaskStatus } from '@/api/client'
import type { IconName } from '@/components/icons'
import { ask } from '@/composables/useConfirm'
import { useToasts } from '@/composables/useToasts'
import type { JobRow } from '@/stores/jobs'
import { useJobs } from '@/stores/jobs'
import { useTags } from '@/stores/tags'

export interface JobAction {
  key: string
  title: string
  icon: IconName
  danger?: boolean
  /** Whether it makes sense for a job. */
  fits: (job: JobRow) => boolean
  /** Asks, then acts on those of the jobs that it fits. Whether something was done. */
  run: (jobs: readonly JobRow[]) => Promise<boolean>
}

const from =
  (...statuses: JobStatus[]) =>
  (job: JobRow) =>
    statuses.includes(job.status) && !job.deleting

const path = (job: { id: string }) => ({ path: { job_id: job.id } })

function setStatus(job: JobRow, status: JobStatus, reason: string) {
  return body(client.POST('/api/v3/jobs/{job_id}/setstatus', { params: path(job), body: { status, reason } }))
}

/** The jobs by name, or their number. */
function named(jobs: readonly JobRow[]): string {
  return jobs.length === 1 && jobs[0] ? `“${jobs[0].name}”` : counted(jobs.length, 'job')
}

function left(jobs: readonly JobRow[], fitting: readonly JobRow[]): string[] {
  const n = jobs.length - fitting.length
  return n > 0 ? [`${counted(n, 'selected job')} cannot be changed like that and will stay as it is.`] : []
}

const failedTasks = (job: JobRow) => (job.counts?.failed ?? 0) + (job.counts?.soft_failed ?? 0)

async function deletes(fitting: readonly JobRow[], rest: string[]): Promise<string | undefined> {
  let checkouts = 0
  await forEach(fitting, async (job) => {
    const info = await need(client.GET('/api/v3/jobs/{job_id}/what-would-delete-do', { params: path(job) }))
    if (info.shaman_checkout) checkouts++
  })
  const files = checkouts > 0 ? `, and the uploaded files of ${counted(checkouts, 'job')} (Shaman checkout)` : ''
  const text = [
    `The tasks, logs and preview images will be deleted${files}. Rendered files stay.`,
    ...rest,
    'This cannot be undone.',
  ]
  return ask({ title: `Delete ${named(fitting)}?`, text, confirm: 'Delete', danger: true })
}

interface FailedTasks {
  limit: number
  status_in: TaskStatus[]
  after?: string
}

async function requeueFailed(job: JobRow): Promise<void> {
  for (let after: string | undefined = undefined; after !== '';) {
    const query: FailedTasks = { limit: pageSize, status_in: ['failed', 'soft-failed'], after }
    const found = await page(client.GET('/api/v3/jobs/{job_id}/tasks', { params: { ...path(job), query } }))
    const change = { status: 'queued' as const, reason: 'requeued in the web app' }
    const failures = await forEach(found.body?.tasks ?? [], (task) =>
      body(client.POST('/api/v3/tasks/{task_id}/setstatus', { params: { path: { task_id: task.id } }, body: change })),
    )
    if (failures[0]) throw failures[0]
    after = found.next
  }
}

interface Plan {
  title: string
  confirm: string
  done: string
  text: string[]
  danger?: boolean
  act: (job: JobRow) => Promise<unknown>
}

function planned(fits: (job: JobRow) => boolean, plan: Plan): Pick<JobAction, 'fits' | 'run'> {
  return {
    fits,
    run: async (jobs) => {
      const fitting = jobs.filter(fits)
      const { confirm, danger } = plan
      const question = {
        title: `${plan.title} ${named(fitting)}?`,
        text: [...plan.text, ...left(jobs, fitting)],
        confirm,
        danger,
      }
      if ((await ask(question)) === undefined) return false
      await doAll(fitting, 'job', plan.done, plan.act)
      return true
    },
  }
}

const setPriority: JobAction['run'] = async (jobs) => {
  const value = String(jobs[0]?.priority ?? 50)
  const text = ['Tasks of jobs with a higher priority are handed out first. What runs goes on.']
  const field = { label: 'Priority, from 0 to 100', value, min: 0, max: 100 }
  const answer = await ask({ title: `Priority of ${named(jobs)}`, text, confirm: 'Set the priority', field })
  if (answer === undefined) return false
  const change = { priority: Number(answer) }
  await doAll(jobs, 'job', `set to priority ${answer}`, (job) =>
    body(client.POST('/api/v3/jobs/{job_id}/setpriority', { params: path(job), body: change })),
  )
  return true
}

const setTag: JobAction['run'] = async (jobs) => {
  const store = useJobs()
  const options = [
    { value: '', label: 'Any Worker' },
    ...useTags().rows.map((tag) => ({ value: tag.id, label: tag.name })),
  ]
  const text = ['Only Workers that carry the tag get tasks of the job. What runs goes on.']
  const field = { label: 'Tag', value: jobs[0]?.tag ?? '', options }
  const answer = await ask({ title: `Tag of ${named(jobs)}`, text, confirm: 'Set the tag', field })
  if (answer === undefined) return false
  await doAll(jobs, 'job', 'changed', async (job) => {
    await body(client.POST('/api/v3/jobs/{job_id}/settag', { params: path(job), body: answer ? { id: answer } : {} }))
    await store.readOne(job.id)
  })
  return true
}

export const jobActions: readonly JobAction[] = [
  {
    key: 'pause',
    title: 'Pause',
    icon: 'pause',
    ...planned(from('active', 'canceled', 'queued'), {
      title: 'Pause',
      confirm: 'Pause',
      done: 'paused',
      text: ['Tasks that run are finished; no others are handed out until the job is requeued.'],
      act: (job) => setStatus(job, 'pause-requested', 'paused in the web app'),
    }),
  },
  {
    key: 'cancel',
    title: 'Cancel',
    icon: 'stop',
    danger: true,
    ...planned(from('active', 'failed', 'paused', 'pause-requested', 'queued'), {
      title: 'Cancel',
      confirm: 'Cancel the job',
      danger: true,
      done: 'canceled',
      text: ['Tasks that run are stopped and their work is lost; no others are handed out. What is done stays done.'],
      act: (job) => setStatus(job, 'cancel-requested', 'canceled in the web app'),
    }),
  },
  {
    key: 'requeue',
    title: 'Requeue',
    icon: 'again',
    ...planned(from('canceled', 'completed', 'failed', 'paused'), {
      title: 'Requeue',
      confirm: 'Requeue',
      done: 'requeued',
      text: [
        'A paused or canceled job goes on where it was; a completed one runs again from the start. Failures and the blocklist are forgotten.',
      ],
      act: (job) => setStatus(job, 'requeueing', 'requeued in the web app'),
    }),
  },
  {
    key: 'requeue-failed',
    title: 'Requeue failed',
    icon: 'again',
    ...planned((job) => failedTasks(job) > 0 && !job.deleting, {
      title: 'Requeue the failed tasks of',
      confirm: 'Requeue failed tasks',
      done: 'requeued',
      text: ['Only tasks that failed run again, and what depends on them; completed ones are left alone.'],
      act: requeueFailed,
    }),
  },
  { key: 'priority', title: 'Priority', icon: 'up', fits: (job) => !job.deleting, run: (jobs) => setPriority(jobs) },
  { key: 'tag', title: 'Tag', icon: 'tags', fits: (job) => !job.deleting, run: (jobs) => setTag(jobs) },
  {
    key: 'delete',
    title: 'Delete',
    icon: 'trash',
    danger: true,
    fits: from('canceled', 'completed', 'failed', 'paused', 'queued'),
    run: async (jobs) => {
      const fitting = jobs.filter(from('canceled', 'completed', 'failed', 'paused', 'queued'))
      try {
        if ((await deletes(fitting, left(jobs, fitting))) === undefined) return false
      } catch (error) {
        useToasts().failed('Could not find out what would be deleted', error)
        return false
      }
      await doAll(fitting, 'job', 'marked for deletion', (job) =>
        body(client.DELETE('/api/v3/jobs/{job_id}', { params: path(job) })),
      )
      return true
    },
  },
]
