// SPDX-License-Identifier: GPL-3.0-or-later

import { expect, test } from 'vitest'
import type { JobRow } from '@/stores/jobs'
import { columnsFor, mostTiles, tilesOf } from '@/wall/wall'

function row(id: string, more: Partial<JobRow>): JobRow {
  return {
    id,
    name: id,
    type: 'render',
    status: 'active',
    priority: 50,
    tag: '',
    created: 0,
    updated: 0,
    activity: '',
    stepsDone: 0,
    stepsTotal: 1,
    counts: undefined,
    deleting: false,
    left: undefined,
    seq: 0,
    ...more,
  }
}

test('the wall shows what is worked on, what changed last first', () => {
  const rows = [row('a', { updated: 1 }), row('b', { updated: 3 }), row('c', { status: 'queued', updated: 5 })]
  expect(tilesOf(rows, []).map((j) => j.id)).toEqual(['b', 'a'])
})

test('when nothing is worked on it shows what was done last', () => {
  const rows = [row('a', { status: 'completed', stepsDone: 1, updated: 1 }), row('b', { status: 'queued' })]
  expect(tilesOf(rows, []).map((j) => j.id)).toEqual(['a'])
})

test('chosen jobs stay in their order, and those that are gone are left out', () => {
  const rows = [row('a', {}), row('b', {}), row('c', {})]
  expect(tilesOf(rows, ['c', 'x', 'a']).map((j) => j.id)).toEqual(['c', 'a'])
  const many = Array.from({ length: 30 }, (_, i) => row(`j${i}`, {}))
  expect(tilesOf(many, [])).toHaveLength(mostTiles)
})

test('pictures are as large as they can be', () => {
  expect(columnsFor(1, 1600, 900)).toBe(1)
  expect(columnsFor(4, 1600, 900)).toBe(2)
  expect(columnsFor(6, 1600, 900)).toBe(3)
  expect(columnsFor(3, 400, 900)).toBe(1)
  expect(columnsFor(3, 3000, 500)).toBe(3)
})
