// SPDX-License-Identifier: GPL-3.0-or-later

import { expect, test } from 'vitest'
import { effectScope, nextTick, ref, shallowRef } from 'vue'
import { natural, useRows, type Sort } from '@/composables/useRows'

interface Thing {
  readonly id: string
  readonly name: string
  readonly size: number
}

const columns = [
  { key: 'name', value: (t: Thing) => t.name },
  { key: 'size', value: (t: Thing) => t.size },
]

function setup(things: Thing[]) {
  const source = shallowRef<readonly Thing[]>(things)
  const sort = shallowRef<Sort>({ key: 'size', descending: false })
  const least = ref(-1)
  const frozen = ref(false)
  const scope = effectScope()
  const view = scope.run(() =>
    useRows(() => source.value, {
      columns,
      sort,
      frozen,
      filter: () => {
        const size = least.value
        return (t) => t.size > size
      },
    }),
  )
  if (!view) throw new Error('no view')
  const replace = async (...changed: Thing[]) => {
    const rows = source.value.slice()
    for (const thing of changed) {
      const at = rows.findIndex((row) => row.id === thing.id)
      if (at < 0) rows.push(thing)
      else rows[at] = thing
    }
    source.value = rows
    await nextTick()
  }
  return { source, sort, least, frozen, view, replace, ids: () => view.value.map((t) => t.id).join('') }
}

const thing = (id: string, size: number, name = id): Thing => ({ id, name, size })
const five = () => ['a', 'b', 'c', 'd', 'e'].map((id, i) => thing(id, i * 10))

test('rows are sorted, and sorted again when the order changes', async () => {
  const s = setup([thing('a', 2), thing('b', 1), thing('c', 3)])
  expect(s.ids()).toBe('bac')
  s.sort.value = { key: 'size', descending: true }
  await nextTick()
  expect(s.ids()).toBe('cab')
})

test('a changed row moves to its place, and out of the list when it no longer fits', async () => {
  const s = setup(five())
  await s.replace(thing('a', 25))
  expect(s.ids()).toBe('bcade')
  await s.replace(thing('a', -5))
  expect(s.ids()).toBe('bcde')
  await s.replace(thing('f', 15))
  expect(s.ids()).toBe('bfcde')
})

test('a row that goes leaves the others in order', async () => {
  const s = setup(five())
  s.source.value = s.source.value.filter((t) => t.id !== 'b')
  await nextTick()
  expect(s.ids()).toBe('acde')
})

test('a filter that changes counts at once', async () => {
  const s = setup(five())
  s.least.value = 15
  await nextTick()
  expect(s.ids()).toBe('cde')
})

test('frozen rows change where they are, and take their places afterwards', async () => {
  const s = setup(five())
  s.frozen.value = true
  await nextTick()
  await s.replace(thing('a', 100))
  expect(s.ids()).toBe('abcde')
  expect(s.view.value[0]?.size).toBe(100)
  s.frozen.value = false
  await nextTick()
  expect(s.ids()).toBe('bcdea')
})

test('changing some rows gives what sorting everything gives', async () => {
  let seed = 7
  const random = (n: number) => (seed = (seed * 1103515245 + 12345) % 2147483648) % n
  const s = setup(Array.from({ length: 400 }, (_, i) => thing(`t${i}`, random(50))))
  for (let round = 0; round < 20; round++) {
    await s.replace(...Array.from({ length: 30 }, () => thing(`t${random(420)}`, random(60) - 5)))
    const want = s.source.value.filter((t) => t.size > -1).sort((a, b) => a.size - b.size || (a.id < b.id ? -1 : 1))
    expect(s.view.value).toEqual(want)
  }
})

test('names with numbers are in the order of their numbers', () => {
  expect(['Shot 10', 'shot 9', 'shot 1'].sort((a, b) => (natural(a) < natural(b) ? -1 : 1))).toEqual([
    'shot 1',
    'shot 9',
    'Shot 10',
  ])
})
