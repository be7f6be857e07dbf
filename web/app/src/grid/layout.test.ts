// SPDX-License-Identifier: GPL-3.0-or-later

import { describe, expect, test } from 'vitest'
import { byPlace, cellAt, cellsBetween, layOut, moved } from '@/grid/layout'

describe('the grid of tasks', () => {
  test('has large cells when there are few, and small ones that scroll when there are many', () => {
    expect(layOut(10, 1000, 160)).toMatchObject({ pitch: 22, rows: 1, height: 22 })
    const some = layOut(1000, 1000, 160)
    expect(some.height).toBeLessThanOrEqual(160)
    expect(some.pitch).toBeGreaterThan(6)
    const many = layOut(100_000, 1000, 160)
    expect(many).toMatchObject({ pitch: 6, columns: 166, rows: 603 })
    expect(many.height).toBe(603 * 6)
  })

  test('has room for every task', () => {
    for (const count of [0, 1, 7, 250, 9999, 100_000])
      for (const width of [1, 320, 1234]) {
        const l = layOut(count, width, 160)
        expect(l.columns * l.rows).toBeGreaterThanOrEqual(count)
      }
  })

  test('finds the cell under the pointer, and none beside the last', () => {
    const l = layOut(10, 66, 100) // three columns of 22
    expect(cellAt(l, 10, 0, 0)).toBe(0)
    expect(cellAt(l, 10, 65, 23)).toBe(5)
    expect(cellAt(l, 10, 0, 70)).toBe(9)
    expect(cellAt(l, 10, 30, 70)).toBeUndefined()
    expect(cellAt(l, 10, 67, 0)).toBeUndefined()
    expect(cellAt(l, 10, -1, 0)).toBeUndefined()
  })

  test('draws only the cells that can be seen', () => {
    const l = layOut(100_000, 600, 60) // a hundred columns of 6
    expect(cellsBetween(l, 100_000, 0, 60)).toEqual([0, 1000])
    expect(cellsBetween(l, 100_000, 9, 69)).toEqual([100, 1200])
    expect(cellsBetween(l, 100_000, 5990, 6060)).toEqual([99_800, 100_000])
  })

  test('is walked with the keys and does not lead out', () => {
    const l = layOut(10, 66, 100)
    expect(moved(l, 10, 4, 'ArrowLeft', 2)).toBe(3)
    expect(moved(l, 10, 4, 'ArrowDown', 2)).toBe(7)
    expect(moved(l, 10, 8, 'ArrowDown', 2)).toBe(8)
    expect(moved(l, 10, 0, 'ArrowUp', 2)).toBe(0)
    expect(moved(l, 10, 4, 'End', 2)).toBe(9)
    expect(moved(l, 10, 4, 'Home', 2)).toBe(0)
    expect(moved(l, 10, 1, 'PageDown', 2)).toBe(7)
    expect(moved(l, 10, 8, 'PageDown', 2)).toBe(9)
    expect(moved(l, 10, 4, 'Tab', 2)).toBeUndefined()
  })

  test('keeps the order of the job, whatever order tasks come in', () => {
    const rows = [{ index: 2 }, { index: 1 }, { index: 3 }]
    expect(byPlace(rows).map((r) => r?.index)).toEqual([1, 2, 3])
    expect(byPlace([{ index: 3 }])).toHaveLength(3)
  })
})
