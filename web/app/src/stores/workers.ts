// SPDX-License-Identifier: GPL-3.0-or-later

import { defineStore } from 'pinia'
import { client, need, page, pageSize, type Schemas, type WorkerStatus } from '@/api/client'
import { isNewer, RowTable, timeOf, type Row } from '@/stores/rowtable'
import { useReading } from '@/stores/reading'

/** What lists show of a Worker. */
export interface WorkerRow extends Row {
  readonly name: string
  readonly status: WorkerStatus
  readonly version: string
  readonly canRestart: boolean
  readonly lastSeen: number // 0 = never
  readonly requested: Schemas['WorkerStatusChangeRequest'] | undefined
  /** What only the Worker's own page of the API says; undefined until that was asked for. */
  readonly detail: Schemas['Worker'] | undefined
}

/** Details are asked for so many at a time. */
const together = 4

export const useWorkers = defineStore('workers', () => {
  const table = new RowTable<WorkerRow>()

  function rowOf(worker: Schemas['WorkerSummary'], detail?: Schemas['Worker']): WorkerRow {
    const known = table.get(worker.id)
    return {
      id: worker.id,
      name: worker.name,
      status: worker.status,
      version: worker.version,
      canRestart: worker.can_restart,
      lastSeen: timeOf(worker.last_seen),
      requested: worker.status_change,
      detail: detail ?? known?.detail,
      updated: Math.max(known?.updated ?? 0, timeOf(worker.last_seen)),
      seq: 0,
    }
  }

  function changed(known: WorkerRow | undefined, event: Schemas['EventWorkerUpdate']): WorkerRow {
    return {
      id: event.id,
      name: event.name,
      status: event.status,
      version: event.version,
      canRestart: event.can_restart,
      lastSeen: timeOf(event.last_seen) || (known?.lastSeen ?? 0),
      requested: event.status_change,
      detail: known?.detail,
      updated: timeOf(event.updated),
      seq: event.seq ?? 0,
    }
  }

  const reading = useReading(async () => {
    table.beginReading()
    const found = new Set<string>()
    for (let after: string | undefined = undefined; after !== '';) {
      const query: { limit: number; after?: string } = { limit: pageSize, after }
      const { body, next } = await page(client.GET('/api/v3/worker-mgt/workers', { params: { query } }))
      const rows = (body?.workers ?? []).map((worker) => rowOf(worker))
      rows.forEach((row) => found.add(row.id))
      table.addRead(rows)
      after = next
    }
    table.endReading(found)
  })

  /** Reads everything about one Worker. Throws an ApiError. */
  async function readOne(id: string): Promise<Schemas['Worker']> {
    const before = table.get(id)
    const worker = await need(
      client.GET('/api/v3/worker-mgt/workers/{worker_id}', { params: { path: { worker_id: id } } }),
    )
    const now = table.get(id)
    table.addRead([now && now !== before ? { ...now, detail: worker } : rowOf(worker, worker)]) // an event may have come meanwhile
    return worker
  }

  /** Reads everything about some Workers, and forgives those that cannot be read. */
  async function readDetails(ids: readonly string[]): Promise<void> {
    const rest = [...ids]
    const some = async () => {
      for (let id = rest.shift(); id !== undefined; id = rest.shift()) await readOne(id).catch(() => undefined)
    }
    await Promise.all(Array.from({ length: together }, some))
  }

  function apply(events: readonly Schemas['EventWorkerUpdate'][]): void {
    const puts = new Map<string, WorkerRow>()
    const removed = new Set<string>()
    for (const event of events) {
      if (event.deleted_at) {
        removed.add(event.id)
        puts.delete(event.id)
        continue
      }
      const known = puts.get(event.id) ?? table.get(event.id)
      if (!known || isNewer(known, { updated: timeOf(event.updated), seq: event.seq ?? 0 }))
        puts.set(event.id, changed(known, event))
    }
    table.apply([...puts.values()], [...removed])
  }

  return { rows: table.rows, get: (id: string) => table.get(id), ...reading, readOne, readDetails, apply }
})
