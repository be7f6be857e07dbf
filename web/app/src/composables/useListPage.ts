// SPDX-License-Identifier: GPL-3.0-or-later

// What every page that is a table has: search, status filters, order and selection, all of them in the address.

import { computed, watch, type Ref, type ShallowRef, type WritableComputedRef } from 'vue'
import type { Column } from '@/components/table'
import { useQuery, useQueryList, useQuerySort } from '@/composables/useQuery'
import { useRows, type Sort } from '@/composables/useRows'
import { useSelection, type Selection } from '@/composables/useSelection'
import { useShift } from '@/composables/useShift'

interface Listed {
  readonly id: string
  readonly name: string
  readonly status: string
}

/** More selected rows than this are not written into the address. */
const mostInAddress = 20

export interface ListPage<R> {
  search: WritableComputedRef<string>
  statuses: WritableComputedRef<readonly string[]>
  sort: WritableComputedRef<Sort>
  view: ShallowRef<readonly R[]>
  selection: Selection<R>
  /** How many rows have which status, in a fixed order. */
  counts: Readonly<Ref<ReadonlyMap<string, number>>>
}

export function useListPage<R extends Listed>(
  source: () => readonly R[],
  columns: readonly Column<R>[],
  options: { sort: string; statuses: readonly string[]; text?: (row: R) => string },
): ListPage<R> {
  const search = useQuery('q')
  const statuses = useQueryList('status')
  const sort = useQuerySort(options.sort)
  const inAddress = useQueryList('selected')
  const textOf = options.text ?? ((row: R) => row.name)

  const filter = computed(() => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean)
    const chosen = new Set(statuses.value)
    if (words.length === 0 && chosen.size === 0) return undefined
    return (row: R) => {
      if (chosen.size > 0 && !chosen.has(row.status)) return false
      if (words.length === 0) return true
      const text = textOf(row).toLowerCase()
      return words.every((word) => text.includes(word))
    }
  })
  const view = useRows(source, { columns, sort, filter: () => filter.value, frozen: useShift() })

  const selection = useSelection(view)
  selection.ids.value = new Set(inAddress.value)
  watch(selection.ids, (ids) => (inAddress.value = ids.size <= mostInAddress ? [...ids] : []))

  const counts = computed(() => {
    const found = new Map<string, number>()
    for (const row of source()) found.set(row.status, (found.get(row.status) ?? 0) + 1)
    return new Map(
      options.statuses.flatMap((s): [string, number][] =>
        found.has(s) || statuses.value.includes(s) ? [[s, found.get(s) ?? 0]] : [],
      ),
    )
  })
  return { search, statuses, sort, view, selection, counts }
}
