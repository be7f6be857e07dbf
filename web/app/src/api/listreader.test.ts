// SPDX-License-Identifier: GPL-3.0-or-later

import { expect, test } from 'vitest'
import { ListReader } from '@/api/listreader'

const entries = [
  { id: 'a', worker: { name: 'ünï "quoted" \\ }],{[' } },
  { id: 'b', tags: ['x', ']', '}'], worker: { name: '' } },
  { id: 'c', n: 1.5, none: null },
]
const bytes = new TextEncoder().encode(JSON.stringify({ tasks: entries }))

test('a list is the same however it is cut into pieces', () => {
  for (let size = 1; size <= bytes.length; size++) {
    const reader = new ListReader()
    const found: unknown[] = []
    for (let at = 0; at < bytes.length; at += size) found.push(...reader.push(bytes.subarray(at, at + size)))
    expect(found).toEqual(entries)
    expect(reader.complete).toBe(true)
  }
})

test('entries are there before the list has ended', () => {
  const reader = new ListReader()
  const half = bytes.subarray(0, bytes.length - 20)
  expect(reader.push(half)).toEqual(entries.slice(0, 2))
  expect(reader.complete).toBe(false)
})

test('an empty list is complete, and no answer is not', () => {
  const reader = new ListReader()
  expect(reader.complete).toBe(false)
  expect(reader.push(new TextEncoder().encode('{"tasks":[]}'))).toEqual([])
  expect(reader.complete).toBe(true)
})
