// SPDX-License-Identifier: GPL-3.0-or-later

import { expect, test } from 'vitest'
import type { Schemas } from '@/api/client'
import { byWorker, failedOf, failureOf } from '@/failures/failures'
import type { TaskRow } from '@/stores/tasks'

function row(index: number, more: Partial<TaskRow>): TaskRow {
  return {
    id: `t${index}`,
    index,
    name: `task ${index}`,
    status: 'failed',
    type: 'blender',
    priority: 50,
    updated: 0,
    workerID: '',
    worker: '',
    stepsDone: 0,
    stepsTotal: 1,
    seq: 0,
    ...more,
  }
}
const worker = { id: 'w1', name: 'pond', address: '' }

function task(more: Partial<Schemas['Task']>): Schemas['Task'] {
  return {
    id: 't',
    created: '',
    updated: '',
    job_id: 'j',
    index_in_job: 1,
    name: 'task',
    status: 'failed',
    priority: 50,
    task_type: 'blender',
    activity: 'it went wrong',
    commands: [],
    steps_completed: 0,
    steps_total: 1,
    ...more,
  }
}

test('failed tasks come with the newest first, and those that are tried again are among them', () => {
  const rows = [
    row(1, { updated: 5 }),
    row(2, { updated: 9, status: 'soft-failed' }),
    row(3, { status: 'completed' }),
    row(4, { updated: 5 }),
  ]
  expect(failedOf(rows).map((t) => t.id)).toEqual(['t2', 't1', 't4'])
})

test('the reason is that of the last attempt that failed, not of one that was lost afterwards', () => {
  const attempts: Schemas['TaskAttempt'][] = [
    {
      generation: 1,
      worker,
      started: '',
      outcome: 'failed',
      reason: 'exit status 11',
      exit_code: 11,
      steps: [
        { index: 0, command: 'echo', started: '', exit_code: 0 },
        { index: 1, command: 'blender-render', started: '', exit_code: 11 },
      ],
    },
    { generation: 2, worker: { ...worker, id: 'w2' }, started: '', outcome: 'lost', steps: [] },
  ]
  expect(failureOf(task({ attempts }))).toMatchObject({
    reason: 'exit status 11',
    exitCode: 11,
    command: 'blender-render',
    worker: { id: 'w1' },
    attempts: 2,
  })
})

test('a task without attempts says what its activity is', () => {
  expect(failureOf(task({}))).toMatchObject({ reason: 'it went wrong', attempts: 0, command: '' })
  expect(failureOf(task({ activity: '' })).reason).toBe('The Worker gave no reason.')
})

test('the Worker that fails most comes first', () => {
  const rows = [
    row(1, { workerID: 'a', worker: 'A' }),
    row(2, { workerID: 'b', worker: 'B' }),
    row(3, { workerID: 'b', worker: 'B' }),
    row(4, {}),
  ]
  expect(byWorker(rows)).toEqual([
    { id: 'b', name: 'B', count: 2 },
    { id: 'a', name: 'A', count: 1 },
  ])
})
