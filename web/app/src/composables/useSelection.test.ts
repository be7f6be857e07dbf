// SPDX-License-Identifier: GPL-3.0-or-later

import { expect, test } from 'vitest'
import { shallowRef } from 'vue'
import { useSelection } from '@/composables/useSelection'

const plain = { shiftKey: false, ctrlKey: false, metaKey: false }
const shift = { ...plain, shiftKey: true }
const ctrl = { ...plain, ctrlKey: true }

function setup() {
  const view = shallowRef([...'abcdef'].map((id) => ({ id })))
  const selection = useSelection(view)
  return { view, selection, picked: () => selection.rows.value.map((row) => row.id).join('') }
}

test('a click selects one row alone', () => {
  const { selection, picked } = setup()
  selection.click('b', plain)
  selection.click('d', plain)
  expect(picked()).toBe('d')
})

test('ctrl adds a row and takes it out', () => {
  const { selection, picked } = setup()
  selection.click('b', plain)
  selection.click('e', ctrl)
  expect(picked()).toBe('be')
  selection.click('b', ctrl)
  expect(picked()).toBe('e')
})

test('shift selects from the last click, in both directions', () => {
  const { selection, picked } = setup()
  selection.click('c', plain)
  selection.click('e', shift)
  expect(picked()).toBe('cde')
  selection.click('a', shift)
  expect(picked()).toBe('abc')
})

test('the keyboard moves, and with shift selects', () => {
  const { selection, picked } = setup()
  expect(selection.move(1, false)).toBe(0)
  selection.move(2, false)
  selection.move(1, true)
  expect(picked()).toBe('cd')
  expect(selection.move(99, false)).toBe(5)
})

test('a selected row that is no longer shown is not acted on', () => {
  const { view, selection, picked } = setup()
  selection.all()
  view.value = view.value.filter((row) => row.id !== 'c')
  expect(picked()).toBe('abdef')
  selection.clear()
  expect(picked()).toBe('')
})
