// SPDX-License-Identifier: GPL-3.0-or-later

import { defineStore } from 'pinia'
import { shallowRef } from 'vue'
import { client, page, pageSize, streamed, type Schemas, type TaskStatus } from '@/api/client'
import { isNewer, RowTable, timeOf, type Row } from '@/stores/rowtable'
import { useReading } from '@/stores/reading'

/** What lists show of a task. */
export interface TaskRow extends Row {
  readonly index: number // in its job, from 1
  readonly name: string
  readonly status: TaskStatus
  readonly type: string
  readonly priority: number
  readonly workerID: string
  readonly worker: string
  readonly stepsDone: number
  readonly stepsTotal: number
}

function rowOf(task: Schemas['TaskSummary']): TaskRow {
  return {
    id: task.id,
    index: task.index_in_job,
    name: task.name,
    status: task.status,
    type: task.task_type,
    priority: task.priority,
    updated: timeOf(task.updated),
    workerID: task.worker?.id ?? '',
    worker: task.worker?.name ?? '',
    stepsDone: task.steps_completed,
    stepsTotal: task.steps_total,
    seq: 0,
  }
}

function changed(known: TaskRow | undefined, event: Schemas['EventTaskUpdate']): TaskRow {
  return {
    id: event.id,
    index: event.index_in_job ?? known?.index ?? 0,
    name: event.name,
    status: event.status,
    type: event.task_type ?? known?.type ?? '',
    priority: known?.priority ?? 0,
    updated: timeOf(event.updated),
    workerID: event.worker?.uuid ?? known?.workerID ?? '',
    worker: event.worker?.name ?? known?.worker ?? '',
    stepsDone: event.steps_completed,
    stepsTotal: event.steps_total,
    seq: event.seq ?? 0,
  }
}

/** The tasks of the job that is open. */
export const useTasks = defineStore('tasks', () => {
  const table = new RowTable<TaskRow>()
  const jobID = shallowRef('')

  let aborter = new AbortController()

  // The first page is there at once, and all tasks of a large job come sooner in one answer than in many pages.
  // Everything that shows tasks passes over all of them for each addition, so they are added in lumps that double.
  const reading = useReading(async () => {
    const id = jobID.value
    if (!id) return
    aborter.abort()
    aborter = new AbortController()
    const { signal } = aborter
    table.beginReading()
    const found = new Set<string>()
    let waiting: TaskRow[] = []
    const add = () => {
      table.addRead(waiting)
      waiting = []
    }
    const take = (tasks: readonly Schemas['TaskSummary'][]) => {
      if (signal.aborted) return
      for (const task of tasks) {
        waiting.push(rowOf(task))
        found.add(task.id)
      }
      if (waiting.length >= table.rows.value.length) add()
    }
    const path = { job_id: id }
    const url = '/api/v3/jobs/{job_id}/tasks'
    try {
      const first = await page(client.GET(url, { params: { path, query: { limit: pageSize } }, signal }))
      take(first.body?.tasks ?? [])
      if (first.next) {
        const all = client.GET(url, { params: { path }, parseAs: 'stream', signal })
        await streamed(all, (entries) => take(entries as Schemas['TaskSummary'][]))
      }
    } catch (error) {
      if (signal.aborted) return // another job was opened meanwhile
      throw error
    }
    if (signal.aborted) return
    add()
    table.endReading(found)
  })

  /** Makes a job the one whose tasks are here, and reads them; '' closes it. */
  async function open(id: string): Promise<void> {
    if (jobID.value === id) return
    jobID.value = id
    aborter.abort()
    table.clear()
    reading.ready.value = false
    reading.failure.value = undefined
    if (id) await reading.read()
  }

  function apply(events: readonly Schemas['EventTaskUpdate'][]): void {
    const puts = new Map<string, TaskRow>()
    for (const event of events) {
      if (event.job_id !== jobID.value) continue
      const known = puts.get(event.id) ?? table.get(event.id)
      if (!known || isNewer(known, { updated: timeOf(event.updated), seq: event.seq ?? 0 }))
        puts.set(event.id, changed(known, event))
    }
    table.apply([...puts.values()])
  }

  return { rows: table.rows, get: (id: string) => table.get(id), jobID, ...reading, open, apply }
})
