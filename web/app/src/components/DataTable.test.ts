// SPDX-License-Identifier: GPL-3.0-or-later

import { cleanup, fireEvent, render, screen } from '@testing-library/vue'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { defineComponent, h, shallowRef } from 'vue'
import DataTable from '@/components/DataTable.vue'
import { gridTemplate, storedWidths, type Column } from '@/components/table'
import { useRows, type Sort } from '@/composables/useRows'
import { useSelection } from '@/composables/useSelection'

interface Thing {
  readonly id: string
  readonly name: string
}

const columns: Column<Thing>[] = [
  { key: 'name', title: 'Name', width: 100, grows: true, value: (t) => t.name, text: (t) => t.name },
  { key: 'note', title: 'Note', width: 80, text: () => 'note' },
  { key: 'extra', title: 'Extra', width: 80, text: () => 'extra', from: 5000 },
]

// There is no layout in tests: everything has this size.
beforeEach(() => {
  localStorage.clear()
  vi.spyOn(HTMLElement.prototype, 'clientHeight', 'get').mockReturnValue(400)
  vi.spyOn(HTMLElement.prototype, 'clientWidth', 'get').mockReturnValue(800)
})
afterEach(cleanup)

async function setup(count: number) {
  const things = shallowRef<readonly Thing[]>(
    Array.from({ length: count }, (_, i) => ({ id: `t${i}`, name: `thing ${i}` })),
  )
  const sort = shallowRef<Sort>({ key: 'name', descending: false })
  const opened: string[] = []
  const place: { selected: () => string } = { selected: () => '' }
  const Page = defineComponent(() => {
    const view = useRows(() => things.value, { columns, sort, filter: () => undefined })
    const selection = useSelection(view)
    place.selected = () => selection.rows.value.map((t) => t.id).join()
    return () =>
      h(DataTable<Thing>, {
        name: 'things',
        label: 'Things',
        columns,
        rows: view.value,
        selection,
        sort: sort.value,
        'onUpdate:sort': (s: Sort) => (sort.value = s),
        onOpen: (t: Thing) => opened.push(t.id),
      })
  })
  render(Page)
  await vi.waitFor(() => expect(screen.getAllByRole('row').length).toBeGreaterThan(1))
  const names = () =>
    screen
      .getAllByRole('row')
      .slice(1)
      .map((row) => row.textContent?.replace('note', ''))
  return { things, opened, names, selected: () => place.selected(), grid: screen.getByRole('grid') }
}

test('only the rows that can be seen are in the page, and the table says how many there are', async () => {
  const t = await setup(100_000)
  expect(t.names().length).toBeGreaterThan(5)
  expect(t.names().length).toBeLessThan(60)
  expect(t.grid.getAttribute('aria-rowcount')).toBe('100001')
})

test('a column that needs more room is left out', async () => {
  await setup(3)
  expect(screen.getAllByRole('columnheader').map((c) => c.textContent)).toEqual(['Name', 'Note'])
})

test('a click on a head sorts, and another one turns the order', async () => {
  const t = await setup(3)
  await fireEvent.click(screen.getByRole('button', { name: 'Name' }))
  expect(t.names()).toEqual(['thing 2', 'thing 1', 'thing 0'])
  expect(screen.getAllByRole('columnheader')[0]?.getAttribute('aria-sort')).toBe('descending')
  await fireEvent.click(screen.getByRole('button', { name: 'Name' }))
  expect(t.names()).toEqual(['thing 0', 'thing 1', 'thing 2'])
})

test('rows are selected by mouse and keyboard, and opened', async () => {
  const t = await setup(9)
  const rows = screen.getAllByRole('row').slice(1)
  await fireEvent.click(rows[1] as HTMLElement)
  await fireEvent.click(rows[3] as HTMLElement, { shiftKey: true })
  expect(t.selected()).toBe('t1,t2,t3')
  expect(screen.getAllByRole('row', { selected: true })).toHaveLength(3)
  await fireEvent.keyDown(t.grid, { key: 'Escape' })
  expect(t.selected()).toBe('')
  await fireEvent.keyDown(t.grid, { key: 'Home' })
  await fireEvent.keyDown(t.grid, { key: 'ArrowDown' })
  await fireEvent.keyDown(t.grid, { key: ' ' })
  expect(t.selected()).toBe('t1')
  await fireEvent.keyDown(t.grid, { key: 'Enter' })
  expect(t.opened).toEqual(['t1'])
  await fireEvent.keyDown(t.grid, { key: 'a', ctrlKey: true })
  expect(t.selected().split(',')).toHaveLength(9)
})

test('widths are changed with the keyboard and remembered', async () => {
  await setup(1)
  const [handle] = screen.getAllByRole('separator')
  await fireEvent.keyDown(handle as HTMLElement, { key: 'ArrowRight' })
  expect(storedWidths('things')).toEqual({ name: 116 })
  expect(gridTemplate(columns.slice(0, 2), storedWidths('things'))).toBe('minmax(116px, 1fr) 80px')
})

test('remembered widths that make no sense are forgotten', () => {
  localStorage.setItem('flamenco.columns.things', '{"name": "wide", "note": -3, "extra": 90}')
  expect(storedWidths('things')).toEqual({ extra: 90 })
  localStorage.setItem('flamenco.columns.things', '{')
  expect(storedWidths('things')).toEqual({})
})
