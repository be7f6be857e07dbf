// SPDX-License-Identifier: GPL-3.0-or-later

import { defineStore } from 'pinia'
import { client, need, type Schemas } from '@/api/client'
import { RowTable, type Row } from '@/stores/rowtable'
import { useReading } from '@/stores/reading'

export interface TagRow extends Row {
  readonly name: string
  readonly description: string
}

function rowOf(tag: Schemas['WorkerTag'], seq = 0): TagRow {
  return { id: tag.id ?? '', name: tag.name, description: tag.description ?? '', updated: 0, seq }
}

export const useTags = defineStore('tags', () => {
  const table = new RowTable<TagRow>()

  const reading = useReading(async () => {
    table.beginReading()
    const { tags } = await need(client.GET('/api/v3/worker-mgt/tags'))
    const rows = (tags ?? []).map((tag) => rowOf(tag))
    table.addRead(rows)
    table.endReading(new Set(rows.map((row) => row.id)))
  })

  function apply(events: readonly Schemas['EventWorkerTagUpdate'][]): void {
    const puts = new Map<string, TagRow>()
    const removed = new Set<string>()
    for (const { tag, was_deleted: gone, seq } of events) {
      const row = rowOf(tag, seq)
      if (gone) {
        removed.add(row.id)
        puts.delete(row.id)
      } else puts.set(row.id, row)
    }
    table.apply([...puts.values()], [...removed])
  }

  return { rows: table.rows, get: (id: string) => table.get(id), ...reading, apply }
})
