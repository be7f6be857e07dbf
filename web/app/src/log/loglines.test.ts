// SPDX-License-Identifier: GPL-3.0-or-later

import { expect, test } from 'vitest'
import { appended, fromWholeLine, mostLines, parseLines, prepended } from '@/log/loglines'

const bytes = (text: string) => new TextEncoder().encode(text)

test('lines are known by where they begin in the log, in bytes', () => {
  const { lines, end } = parseLines(bytes('één\r\ntwo\nthr'), 100, false)
  expect(lines.map((l) => [l.at, l.text])).toEqual([
    [100, 'één'],
    [107, 'two'],
  ])
  expect(end).toBe(111)
  expect(parseLines(bytes('thr'), 111, true).lines[0]?.text).toBe('thr')
})

test('colours become classes, and everything else stays text', () => {
  const { lines } = parseLines(bytes('\x1b[31mred\x1b[0m <b>not bold</b>\n'), 0, false)
  expect(lines[0]?.text).toBe('red <b>not bold</b>')
  expect(lines[0]?.html).toBe('<span class="ansi-red-fg">red</span> &lt;b&gt;not bold&lt;/b&gt;')
})

test('a part from the middle begins with a whole line', () => {
  const part = fromWholeLine(bytes('rest\nwhole\n'), 50)
  expect(part.offset).toBe(55)
  expect(fromWholeLine(bytes('first\n'), 0).offset).toBe(0)
})

test('what is read twice is held once, and no more than allowed is held', () => {
  const text = Array.from({ length: mostLines + 10 }, (_, i) => `line ${i}\n`).join('')
  const { lines } = parseLines(bytes(text), 0, false)
  const held = appended(appended([], lines.slice(0, 600)), lines.slice(500))
  expect(held).toHaveLength(mostLines)
  expect(held.at(-1)?.text).toBe(`line ${mostLines + 9}`)
  const up = prepended(held, lines.slice(0, 15))
  expect(up).toHaveLength(mostLines)
  expect(up.slice(0, 11).map((l) => l.text)).toEqual(lines.slice(0, 11).map((l) => l.text))
})
