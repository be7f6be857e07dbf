// SPDX-License-Identifier: GPL-3.0-or-later

import type { Sortable } from '@/composables/useRows'

/** A column of a DataTable. Widths are in CSS pixels. */
export interface Column<R> extends Sortable<R> {
  title: string
  width: number
  /** Takes the space that is left. */
  grows?: boolean
  /** Numbers are at the end. */
  end?: boolean
  /** Shown where the table is at least this wide. */
  from?: number
  /** What the cell says, unless the table has a slot for it. */
  text?: (row: R) => string
}

export const narrowest = 48
export const rowHeight = 36

const key = (table: string) => `flamenco.columns.${table}`

/** The widths that somebody gave to columns of a table, remembered in this browser. */
export function storedWidths(table: string): Record<string, number> {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(key(table)) ?? '{}')
    if (typeof stored !== 'object' || stored === null) return {}
    return Object.fromEntries(
      Object.entries(stored).filter(([, width]) => typeof width === 'number' && width >= narrowest),
    )
  } catch {
    return {}
  }
}

export function storeWidths(table: string, widths: Record<string, number>): void {
  localStorage.setItem(key(table), JSON.stringify(widths))
}

/** The template of the grid that a row is. */
export function gridTemplate<R>(columns: readonly Column<R>[], widths: Record<string, number>): string {
  return columns
    .map((c) => {
      const width = widths[c.key] ?? c.width
      return c.grows ? `minmax(${width}px, 1fr)` : `${width}px`
    })
    .join(' ')
}
