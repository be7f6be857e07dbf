// SPDX-License-Identifier: GPL-3.0-or-later

// Which jobs the wall of images shows, and how it divides the screen among them.

import type { JobRow } from '@/stores/jobs'

/** More pictures than this are too small to see anything. */
export const mostTiles = 12

/** The jobs that somebody chose, in that order; without a choice those that are worked on, what changed last first. */
export function tilesOf(rows: readonly JobRow[], chosen: readonly string[]): JobRow[] {
  if (chosen.length > 0) {
    const byID = new Map(rows.map((job) => [job.id, job]))
    return chosen.flatMap((id) => byID.get(id) ?? []).slice(0, mostTiles)
  }
  const newest = [...rows].sort((a, b) => b.updated - a.updated)
  const active = newest.filter((job) => job.status === 'active')
  return (active.length > 0 ? active : newest.filter((job) => job.stepsDone > 0)).slice(0, mostTiles)
}

/** How many tiles stand side by side, so that pictures of 16 by 9 are as large as they can be. */
export function columnsFor(count: number, width: number, height: number): number {
  let best = 1
  let largest = 0
  for (let columns = 1; columns <= count; columns++) {
    const rows = Math.ceil(count / columns)
    const tile = Math.min(width / columns, (height / rows) * (16 / 9))
    if (tile > largest) {
      largest = tile
      best = columns
    }
  }
  return best
}
