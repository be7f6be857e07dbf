// SPDX-License-Identifier: GPL-3.0-or-later

// Rows by identifier, as plain objects in one shallow list: a change replaces the object of its row and the list, and
// nothing inside is reactive. Rows keep their place, so a reader finds what changed by comparing two lists.

import { shallowRef, type ShallowRef } from 'vue'

export interface Row {
  readonly id: string
  /** When it changed, milliseconds since 1970; 0 if that is not known. */
  readonly updated: number
  /** The number of the event that it comes from, 0 if it was read. */
  readonly seq: number
}

/** A time of the API in milliseconds since 1970, with the microseconds behind the point; 0 for none. */
export function timeOf(text: string | undefined): number {
  if (!text) return 0
  const micros = /\.\d{3}(\d{1,3})/.exec(text)?.[1]
  return Date.parse(text) + (micros ? Number(micros.padEnd(3, '0')) / 1000 : 0)
}

/** Whether an event, or an answer of the Manager, says something that is not older than what is known. */
export function isNewer(now: Row, next: { updated: number; seq: number }): boolean {
  if (now.seq && next.seq) return next.seq >= now.seq
  return next.updated >= now.updated
}

export class RowTable<R extends Row> {
  readonly rows: ShallowRef<readonly R[]> = shallowRef([])
  private readonly place = new Map<string, number>()
  private touched = new Set<string>() // by events since a reading began
  private gone = new Set<string>()

  get(id: string): R | undefined {
    const at = this.place.get(id)
    const rows = this.rows.value // read in any case: whoever asks for what is not there wants to know when it comes
    return at === undefined ? undefined : rows[at]
  }

  /** Stores rows that events tell of and takes out those that they say are gone. */
  apply(puts: readonly R[], removed: readonly string[] = []): void {
    for (const row of puts) this.touched.add(row.id)
    for (const id of removed) this.gone.add(id)
    this.store(puts)
    if (removed.length > 0) this.keep((row) => !this.gone.has(row.id))
  }

  /** Says that a reading of the whole list begins. */
  beginReading(): void {
    this.touched = new Set()
    this.gone = new Set()
  }

  /** Stores a page of what is read, unless events have said something newer meanwhile. */
  addRead(page: readonly R[]): void {
    this.store(page.filter((row) => !this.gone.has(row.id) && this.mayReplace(row)))
  }

  /** Ends a reading: rows that it did not find, and that no event told of meanwhile, are gone. */
  endReading(found: ReadonlySet<string>): void {
    this.keep((row) => found.has(row.id) || this.touched.has(row.id))
  }

  clear(): void {
    this.place.clear()
    this.beginReading()
    this.rows.value = []
  }

  private mayReplace(row: R): boolean {
    const known = this.get(row.id)
    return !known || !this.touched.has(row.id) || row.updated >= known.updated
  }

  private store(puts: readonly R[]): void {
    if (puts.length === 0) return
    const rows = this.rows.value.slice()
    for (const row of puts) {
      const at = this.place.get(row.id)
      if (at !== undefined) rows[at] = row
      else this.place.set(row.id, rows.push(row) - 1)
    }
    this.rows.value = rows
  }

  private keep(stays: (row: R) => boolean): void {
    const rows = this.rows.value.filter(stays)
    if (rows.length === this.rows.value.length) return
    this.place.clear()
    rows.forEach((row, at) => this.place.set(row.id, at))
    this.rows.value = rows
  }
}
