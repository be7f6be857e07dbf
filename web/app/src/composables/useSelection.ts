// SPDX-License-Identifier: GPL-3.0-or-later

// Which rows of a table are selected, with the rules of every file manager: a click selects one, ctrl adds or takes
// out, shift selects from where the last click was.

import { computed, ref, shallowRef, type ComputedRef, type Ref, type ShallowRef } from 'vue'

interface Modifiers {
  shiftKey: boolean
  ctrlKey: boolean
  metaKey: boolean
}

export interface Selection<R> {
  ids: ShallowRef<ReadonlySet<string>>
  /** Where the keyboard is; '' = nowhere. */
  cursor: Ref<string>
  /** The selected rows that are shown, in their order. */
  rows: ComputedRef<readonly R[]>
  click: (id: string, keys: Modifiers) => void
  toggle: (id: string) => void
  /** Moves the cursor by some rows; with extend everything on the way is selected. Returns the place where it is now. */
  move: (by: number, extend: boolean) => number
  all: () => void
  clear: () => void
}

export function useSelection<R extends { readonly id: string }>(view: Readonly<Ref<readonly R[]>>): Selection<R> {
  const ids = shallowRef<ReadonlySet<string>>(new Set())
  const cursor = ref('')
  let anchor = ''

  const placeOf = (id: string) => view.value.findIndex((row) => row.id === id)

  function range(from: string, to: string): string[] {
    const a = placeOf(from)
    const b = placeOf(to)
    if (b < 0) return []
    const [first, last] = a < 0 ? [b, b] : a < b ? [a, b] : [b, a]
    return view.value.slice(first, last + 1).map((row) => row.id)
  }

  function toggle(id: string) {
    const next = new Set(ids.value)
    if (!next.delete(id)) next.add(id)
    ids.value = next
    anchor = cursor.value = id
  }

  function click(id: string, keys: Modifiers) {
    if (keys.shiftKey) {
      const added = range(anchor || id, id)
      ids.value = new Set(keys.ctrlKey || keys.metaKey ? [...ids.value, ...added] : added)
      cursor.value = id
      return
    }
    if (keys.ctrlKey || keys.metaKey) return toggle(id)
    ids.value = new Set([id])
    anchor = cursor.value = id
  }

  function move(by: number, extend: boolean): number {
    const rows = view.value
    if (rows.length === 0) return -1
    const here = placeOf(cursor.value)
    const next = Math.min(rows.length - 1, Math.max(0, here < 0 ? (by < 0 ? rows.length - 1 : 0) : here + by))
    cursor.value = rows[next]?.id ?? ''
    if (extend) ids.value = new Set(range(anchor || cursor.value, cursor.value))
    else anchor = cursor.value
    return next
  }

  return {
    ids,
    cursor,
    rows: computed(() => (ids.value.size > 0 ? view.value.filter((row) => ids.value.has(row.id)) : [])),
    click,
    toggle,
    move,
    all: () => (ids.value = new Set(view.value.map((row) => row.id))),
    clear: () => {
      ids.value = new Set()
      anchor = ''
    },
  }
}
