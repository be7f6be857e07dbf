// SPDX-License-Identifier: GPL-3.0-or-later

import { expect, test } from 'vitest'
import { computed } from 'vue'
import { isNewer, RowTable, timeOf, type Row } from '@/stores/rowtable'

interface Thing extends Row {
  readonly text: string
}

function setup() {
  const table = new RowTable<Thing>()
  const thing = (id: string, text: string, updated = 1): Thing => ({ id, text, updated, seq: 0 })
  return { table, thing, texts: () => table.rows.value.map((row) => row.text).join() }
}

test('a change replaces its row and the list, and leaves the other rows as they are', () => {
  const { table, thing, texts } = setup()
  table.addRead([thing('a', 'a1'), thing('b', 'b1')])
  const before = table.rows.value
  table.apply([thing('b', 'b2', 2)])
  expect(texts()).toBe('a1,b2')
  expect(table.rows.value).not.toBe(before)
  expect(table.rows.value[0]).toBe(before[0])
  expect(before[1]?.text).toBe('b1')
})

test('what is removed is gone, and the others are still found', () => {
  const { table, thing, texts } = setup()
  table.addRead([thing('a', 'a'), thing('b', 'b'), thing('c', 'c')])
  table.apply([], ['a'])
  table.apply([thing('c', 'c2', 2)])
  expect(texts()).toBe('b,c2')
  expect(table.get('a')).toBeUndefined()
})

test('a reading does not undo what events said meanwhile', () => {
  const { table, thing, texts } = setup()
  table.addRead([thing('a', 'old', 1), thing('b', 'old', 1), thing('c', 'old', 1)])
  table.beginReading()
  table.apply([thing('a', 'event', 3), thing('new', 'event', 3)], ['b'])
  table.addRead([thing('a', 'read', 2), thing('b', 'read', 2)])
  table.endReading(new Set(['a', 'b']))
  expect(texts()).toBe('event,event') // a and new; b was deleted, c was not found
})

test('a reading that is newer than the event counts', () => {
  const { table, thing, texts } = setup()
  table.beginReading()
  table.apply([thing('a', 'event', 1)])
  table.addRead([thing('a', 'read', 2)])
  expect(texts()).toBe('read')
})

test('whoever asks for a row that is not there learns when it comes', () => {
  const { table, thing } = setup()
  const text = computed(() => table.get('a')?.text)
  expect(text.value).toBeUndefined()
  table.apply([thing('a', 'here')])
  expect(text.value).toBe('here')
})

test('rows are not made reactive', () => {
  const { table, thing } = setup()
  const row = thing('a', 'a')
  table.apply([row])
  expect(table.get('a')).toBe(row)
})

test('the number of an event decides, without one the time', () => {
  const row = { id: 'a', updated: 10, seq: 5 }
  expect(isNewer(row, { updated: 9, seq: 6 })).toBe(true)
  expect(isNewer(row, { updated: 11, seq: 4 })).toBe(false)
  expect(isNewer(row, { updated: 11, seq: 0 })).toBe(true)
  expect(isNewer({ ...row, seq: 0 }, { updated: 9, seq: 6 })).toBe(false)
})

test('times keep their microseconds', () => {
  expect(timeOf('1970-01-01T00:00:01.000250Z')).toBe(1000.25)
  expect(timeOf('1970-01-01T01:00:01.5+01:00')).toBe(1500)
  expect(timeOf(undefined)).toBe(0)
})
