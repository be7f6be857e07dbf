// SPDX-License-Identifier: GPL-3.0-or-later

import { defineStore } from 'pinia'
import { client, page, pageSize, need, type JobStatus, type Schemas } from '@/api/client'
import { isNewer, RowTable, timeOf, type Row } from '@/stores/rowtable'
import { Pace } from '@/stores/pace'
import { useReading } from '@/stores/reading'

export type TaskCounts = Schemas['TaskCounts']

/** What lists show of a job. */
export interface JobRow extends Row {
  readonly name: string
  readonly type: string
  readonly status: JobStatus
  readonly priority: number
  readonly tag: string // identifier, '' = any Worker
  readonly created: number
  readonly activity: string
  readonly stepsDone: number
  readonly stepsTotal: number
  readonly counts: TaskCounts | undefined
  readonly deleting: boolean
  /** Estimated time until it is done, milliseconds; undefined while nobody can tell. */
  readonly left: number | undefined
}

/** More unknown jobs in one frame than this are read as a list. */
const fewJobs = 10

export const useJobs = defineStore('jobs', () => {
  const table = new RowTable<JobRow>()
  const pace = new Pace()

  function rowOf(job: Schemas['Job']): JobRow {
    const row = {
      id: job.id,
      name: job.name,
      type: job.type,
      status: job.status,
      priority: job.priority,
      tag: job.worker_tag ?? '',
      created: timeOf(job.created),
      updated: timeOf(job.updated),
      activity: job.activity,
      stepsDone: job.steps_completed,
      stepsTotal: job.steps_total,
      counts: job.task_counts,
      deleting: job.delete_requested_at !== undefined,
      seq: 0,
    }
    return { ...row, left: pace.left(row) }
  }

  function changed(known: JobRow, event: Schemas['EventJobUpdate']): JobRow {
    const row = {
      ...known,
      name: event.name ?? known.name,
      type: event.type,
      status: event.status,
      priority: event.priority,
      updated: timeOf(event.updated),
      stepsDone: event.steps_completed,
      stepsTotal: event.steps_total,
      counts: event.task_counts ?? known.counts,
      deleting: event.delete_requested_at !== undefined,
      seq: event.seq ?? 0,
    }
    return { ...row, left: pace.left(row) }
  }

  const reading = useReading(async () => {
    table.beginReading()
    const found = new Set<string>()
    for (let after: string | undefined = undefined; after !== '';) {
      const query: { limit: number; order_by: string[]; after?: string } = {
        limit: pageSize,
        order_by: ['-created'],
        after,
      }
      const { body, next } = await page(client.GET('/api/v3/jobs', { params: { query } }))
      const rows = (body?.jobs ?? []).map(rowOf)
      rows.forEach((row) => found.add(row.id))
      table.addRead(rows)
      after = next
    }
    table.endReading(found)
  })

  /** Reads one job, so that it is in the list however long that is. Throws an ApiError. */
  async function readOne(id: string): Promise<Schemas['Job']> {
    const job = await need(client.GET('/api/v3/jobs/{job_id}', { params: { path: { job_id: id } } }))
    table.addRead([rowOf(job)])
    return job
  }

  /** Stores what events say. Jobs that are new are read, because events do not say everything. */
  function apply(events: readonly Schemas['EventJobUpdate'][]): void {
    const puts = new Map<string, JobRow>()
    const removed = new Set<string>()
    const unknown = new Set<string>()
    for (const event of events) {
      if (event.was_deleted) {
        removed.add(event.id)
        puts.delete(event.id)
        unknown.delete(event.id)
        pace.forget(event.id)
        continue
      }
      const known = puts.get(event.id) ?? table.get(event.id)
      if (!known) unknown.add(event.id)
      else if (isNewer(known, { updated: timeOf(event.updated), seq: event.seq ?? 0 }))
        puts.set(event.id, changed(known, event))
    }
    table.apply([...puts.values()], [...removed])
    if (unknown.size > fewJobs) void reading.read()
    else unknown.forEach((id) => void readOne(id).catch(() => undefined)) // gone again, or read after the next connection
  }

  return { rows: table.rows, get: (id: string) => table.get(id), ...reading, readOne, apply }
})
