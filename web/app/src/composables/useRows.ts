// SPDX-License-Identifier: GPL-3.0-or-later

// Filtered and sorted rows of a list that changes all the time. A change of some rows costs one pass over the list and
// the sorting of those rows, not of all: two lists are compared place by place, since rows keep their place.

import { onScopeDispose, shallowRef, watch, type Ref, type ShallowRef } from 'vue'

export interface Sort {
  key: string
  descending: boolean
}

type Value = string | number

export interface Sortable<R> {
  key: string
  /** What the column is sorted by. */
  value?: (row: R) => Value
}

/** More changed rows than this part of all are sorted together with all the others. */
const manyChanged = 1 / 4

/** A text in an order that people expect: without case, numbers by their size. */
export function natural(text: string): string {
  return text.toLowerCase().replace(/\d+/g, (digits) => digits.padStart(12, '0'))
}

/** Compares by a column; rows that are equal in it stay in the order of their identifiers. */
export function comparator<R extends { readonly id: string }>(
  columns: readonly Sortable<R>[],
  sort: Sort,
): (a: R, b: R) => number {
  const value = columns.find((c) => c.key === sort.key)?.value ?? ((row: R) => row.id)
  const keys = new WeakMap<R, Value>() // texts cost more to prepare than to look up
  const keyOf = (row: R): Value => {
    let key = keys.get(row)
    if (key === undefined) {
      const v = value(row)
      keys.set(row, (key = typeof v === 'string' ? natural(v) : v))
    }
    return key
  }
  const sign = sort.descending ? -1 : 1
  return (a, b) => {
    const x = keyOf(a)
    const y = keyOf(b)
    if (x < y) return -sign
    if (x > y) return sign
    return a.id < b.id ? -1 : a.id > b.id ? 1 : 0
  }
}

/** The rows that are new or changed, and what stood in their places; undefined where the lists are not alike. */
function differences<R>(before: readonly R[], after: readonly R[]): { fresh: R[]; stale: Map<R, R> } | undefined {
  if (after.length < before.length) return undefined
  const limit = after.length * manyChanged
  const fresh: R[] = []
  const stale = new Map<R, R>()
  for (let i = 0; i < after.length; i++) {
    const was = before[i]
    const is = after[i] as R
    if (was === is) continue
    fresh.push(is)
    if (was !== undefined) stale.set(was, is)
    if (fresh.length > limit) return undefined
  }
  return { fresh, stale }
}

function merge<R>(a: readonly R[], b: readonly R[], compare: (a: R, b: R) => number): R[] {
  const merged: R[] = []
  let j = 0
  for (const row of a) {
    while (j < b.length && compare(b[j] as R, row) < 0) merged.push(b[j++] as R)
    merged.push(row)
  }
  while (j < b.length) merged.push(b[j++] as R)
  return merged
}

export interface RowsOptions<R> {
  columns: readonly Sortable<R>[]
  sort: Readonly<Ref<Sort>>
  /** Which rows are shown; undefined = all. It is asked for again when what it is made of changes. */
  filter: () => ((row: R) => boolean) | undefined
  /** While true, rows change where they are and do not move; new ones come at the end. */
  frozen?: Readonly<Ref<boolean>>
}

export function useRows<R extends { readonly id: string }>(
  source: () => readonly R[],
  options: RowsOptions<R>,
): ShallowRef<readonly R[]> {
  const view: ShallowRef<readonly R[]> = shallowRef([])
  let known: readonly R[] = []
  let compare = comparator(options.columns, options.sort.value)
  let matches: (row: R) => boolean = () => true

  function all() {
    view.value = known.filter(matches).sort(compare)
  }

  function changed(rows: readonly R[]) {
    const found = differences(known, rows)
    known = rows
    if (!found) return all()
    if (found.fresh.length === 0) return
    if (options.frozen?.value) return inPlace(found.stale)
    const rest = found.stale.size > 0 ? view.value.filter((row) => !found.stale.has(row)) : view.value
    view.value = merge(rest, found.fresh.filter(matches).sort(compare), compare)
  }

  function inPlace(stale: Map<R, R>) {
    view.value = view.value.map((row) => stale.get(row) ?? row)
  }

  const stopOptions = watch(
    [options.sort, options.filter],
    ([sort, filter]) => {
      compare = comparator(options.columns, sort)
      matches = filter ?? (() => true)
      all()
    },
    { immediate: true },
  )
  const stopRows = watch(source, changed, { immediate: true })
  if (options.frozen) watch(options.frozen, (frozen) => frozen || all())
  onScopeDispose(() => {
    stopOptions()
    stopRows()
  })
  return view
}
