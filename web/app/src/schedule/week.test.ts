// SPDX-License-Identifier: GPL-3.0-or-later

import { describe, expect, test } from 'vitest'
import {
  dayLength,
  painted,
  savedWindows,
  scheduleOf,
  sleepIn,
  textOf,
  weekLength,
  weekOf,
  windowsOf,
  type SleepWindow,
} from '@/schedule/week'

const window = (days_of_week: string, start_time: string, end_time: string): SleepWindow => ({
  days_of_week,
  start_time,
  end_time,
})
const sum = (week: Uint8Array) => week.reduce((a, b) => a + b, 0)

describe('a week of sleep', () => {
  test.each([
    [window('mo tu we th fr', '09:00', '18:00')],
    [window('', '22:15', '06:45')],
    [window('fr', '18:00', '08:00')],
    [window('su', '20:00', '04:00')],
    [window('', '', '')],
    [window('sa su', '', '')],
    [window('sa', '10:00', '')],
  ])('comes out of windows and goes back into the same: %j', (w) => {
    expect(windowsOf(weekOf([w]))).toEqual([w])
  })

  test('joins windows that overlap', () => {
    expect(windowsOf(weekOf([window('mo', '09:00', '12:00'), window('mo', '11:00', '14:00')]))).toEqual([
      window('mo', '09:00', '14:00'),
    ])
  })

  test('splits what is longer than a window can say', () => {
    const weekend = painted(
      weekOf([window('fr', '18:00', '')]),
      { firstDay: 5, lastDay: 6, from: 0, until: dayLength },
      true,
    )
    const windows = windowsOf(weekend)
    expect(sum(weekOf(windows))).toBe(sum(weekend))
    expect(weekOf(windows)).toEqual(weekend)
  })

  test('stays the same for any mixture of minutes', () => {
    for (let seed = 1; seed < 40; seed++) {
      const week = new Uint8Array(weekLength)
      let at = seed * 37
      for (let i = 0; i < 9; i++) {
        const length = (seed * 97 + i * 411) % 2000
        for (let m = 0; m < length; m++) week[(at + m) % weekLength] = 1
        at += length + ((seed * 53 + i * 71) % 900)
      }
      const back = weekOf(windowsOf(week))
      expect(back.findIndex((minute, i) => minute !== week[i])).toBe(-1)
    }
  })

  test('of which nothing is sleep is saved as one that never sleeps, not as one that always does', () => {
    const schedule = scheduleOf(true, windowsOf(new Uint8Array(weekLength)))
    expect(sum(weekOf(schedule.windows ?? []))).toBe(0)
    expect(schedule.windows).toHaveLength(1)
    expect(savedWindows(schedule)).toEqual([])
  })

  test('is painted, and known to be partly asleep', () => {
    const week = painted(new Uint8Array(weekLength), { firstDay: 0, lastDay: 1, from: 540, until: 570 }, true)
    expect(sum(week)).toBe(60)
    expect(sleepIn(week, 540, 570)).toBe('all')
    expect(sleepIn(week, 540, 600)).toBe('some')
    expect(sleepIn(week, 600, 660)).toBe('none')
    expect(sum(painted(week, { firstDay: 0, lastDay: 6, from: 0, until: dayLength }, false))).toBe(0)
  })

  test('is told in words', () => {
    expect(textOf(window('mo tu we th fr', '09:00', '18:00'))).toBe('Mon to Fri, 09:00 to 18:00')
    expect(textOf(window('mo we', '09:00', ''))).toBe('Mon, Wed, 09:00 to 24:00')
    expect(textOf(window('', '', ''))).toBe('Every day, all day')
  })
})
