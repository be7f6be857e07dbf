// SPDX-License-Identifier: GPL-3.0-or-later

// Where the cells of a task grid are: as large as fits, and never so small that nobody can point at them.

export interface Layout {
  /** Distance from one cell to the next, pixels. */
  pitch: number
  /** Side of a cell, pixels. */
  cell: number
  columns: number
  rows: number
  /** Height of all rows, pixels; more than there is room for means scrolling. */
  height: number
}

const largest = 22
const smallest = 6

/** Lays count cells out on a width, in order from left to right. They shrink until they fit into the height. */
export function layOut(count: number, width: number, height: number): Layout {
  const at = (pitch: number): Layout => {
    const columns = Math.max(1, Math.floor(width / pitch))
    const rows = Math.ceil(count / columns)
    return { pitch, cell: pitch - (pitch > 10 ? 2 : 1), columns, rows, height: rows * pitch }
  }
  for (let pitch = largest; pitch > smallest; pitch--) {
    const found = at(pitch)
    if (found.height <= height) return found
  }
  return at(smallest)
}

/** The cell at a point of the grid, from 0; undefined between the last one and the edge. */
export function cellAt(layout: Layout, count: number, x: number, y: number): number | undefined {
  const column = Math.floor(x / layout.pitch)
  if (column < 0 || column >= layout.columns || y < 0) return undefined
  const cell = Math.floor(y / layout.pitch) * layout.columns + column
  return cell < count ? cell : undefined
}

/** The cells of which something is seen between two heights: from the first up to, and without, the last. */
export function cellsBetween(layout: Layout, count: number, top: number, bottom: number): [number, number] {
  const first = Math.max(0, Math.floor(top / layout.pitch)) * layout.columns
  const last = Math.ceil(bottom / layout.pitch) * layout.columns
  return [Math.min(first, count), Math.min(last, count)]
}

/** Where a key leads from a cell; the same cell if it leads nowhere, undefined if it is not for the grid. */
export function moved(
  layout: Layout,
  count: number,
  from: number,
  key: string,
  visibleRows: number,
): number | undefined {
  const step: Record<string, number> = {
    ArrowLeft: -1,
    ArrowRight: 1,
    ArrowUp: -layout.columns,
    ArrowDown: layout.columns,
    PageUp: -layout.columns * visibleRows,
    PageDown: layout.columns * visibleRows,
    Home: -from,
    End: count - 1 - from,
  }
  const by = step[key]
  if (by === undefined) return undefined
  const to = from + by
  if (key.startsWith('Arrow')) return to >= 0 && to < count ? to : from
  return Math.min(count - 1, Math.max(0, to))
}

/** Rows by their place in the job, counted from 0; a change of the list costs one pass. */
export function byPlace<R extends { readonly index: number }>(rows: readonly R[]): readonly (R | undefined)[] {
  const places = new Array<R | undefined>(rows.length)
  for (const row of rows) places[row.index - 1] = row
  return places
}
