// SPDX-License-Identifier: GPL-3.0-or-later

// What went wrong in a job: the tasks that failed, newest first, and why each of them did.

import type { Schemas } from '@/api/client'
import type { TaskRow } from '@/stores/tasks'

/** The tasks that failed, or failed at some Workers and are tried again; what changed last comes first. */
export function failedOf(rows: readonly TaskRow[]): TaskRow[] {
  return rows
    .filter((t) => t.status === 'failed' || t.status === 'soft-failed')
    .sort((a, b) => b.updated - a.updated || a.index - b.index)
}

export interface Failure {
  /** Why, in words. */
  reason: string
  exitCode: number | undefined
  /** The command that failed, '' if none is known to have. */
  command: string
  worker: Schemas['TaskWorker'] | undefined
  attempts: number
}

/** Why a task failed, from the last attempt at it that did. */
export function failureOf(task: Schemas['Task']): Failure {
  const attempts = task.attempts ?? []
  const last = attempts.findLast((a) => a.outcome === 'failed') ?? attempts.at(-1)
  const step = last?.steps.findLast((s) => s.exit_code) ?? last?.steps.at(-1)
  return {
    reason: last?.reason || task.activity || 'The Worker gave no reason.',
    exitCode: last?.exit_code,
    command: step?.command ?? '',
    worker: last?.worker ?? task.worker,
    attempts: attempts.length,
  }
}

/** How many tasks each Worker failed, most first: a list of one says that the Worker is to blame, not the job. */
export function byWorker(rows: readonly TaskRow[]): { id: string; name: string; count: number }[] {
  const found = new Map<string, { id: string; name: string; count: number }>()
  for (const row of rows) {
    if (!row.workerID) continue
    const entry = found.get(row.workerID)
    if (entry) entry.count++
    else found.set(row.workerID, { id: row.workerID, name: row.worker, count: 1 })
  }
  return [...found.values()].sort((a, b) => b.count - a.count)
}
