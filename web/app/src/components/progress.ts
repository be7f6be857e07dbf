// SPDX-License-Identifier: GPL-3.0-or-later

import type { TaskCounts } from '@/stores/jobs'

export interface Progressing {
  status: string
  stepsDone: number
  stepsTotal: number
  counts: TaskCounts | undefined
}

/** The parts of a bar of progress by status, in the order in which they are shown; empty ones are left out. */
export function barOf(job: Progressing): { status: string; count: number }[] {
  const c = job.counts
  const parts = c
    ? [
        { status: 'completed', count: c.completed },
        { status: 'active', count: c.active },
        { status: 'failed', count: c.failed },
        { status: 'soft-failed', count: c.soft_failed },
        { status: 'paused', count: c.paused },
        { status: 'canceled', count: c.canceled },
        { status: 'queued', count: c.queued },
      ]
    : [
        { status: 'completed', count: job.stepsDone },
        { status: 'queued', count: job.stepsTotal - job.stepsDone },
      ]
  return parts.filter((part) => part.count > 0)
}

/** How much of the work is done. 100 only when all of it is. */
export function percentOf(job: Progressing): number {
  if (job.status === 'completed') return 100
  return job.stepsTotal > 0 ? Math.floor((100 * job.stepsDone) / job.stepsTotal) : 0
}
