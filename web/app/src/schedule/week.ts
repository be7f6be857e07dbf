// SPDX-License-Identifier: GPL-3.0-or-later

// A week of sleep, minute by minute, and the windows that the Manager keeps it in.

import type { Schemas } from '@/api/client'

export type SleepWindow = Schemas['SleepWindow']

export const days = [
  { key: 'mo', short: 'Mon', name: 'Monday' },
  { key: 'tu', short: 'Tue', name: 'Tuesday' },
  { key: 'we', short: 'Wed', name: 'Wednesday' },
  { key: 'th', short: 'Thu', name: 'Thursday' },
  { key: 'fr', short: 'Fri', name: 'Friday' },
  { key: 'sa', short: 'Sat', name: 'Saturday' },
  { key: 'su', short: 'Sun', name: 'Sunday' },
] as const

export const dayLength = 24 * 60 // minutes
export const weekLength = 7 * dayLength

/** 1 for every minute, from Monday 00:00, in which the Worker sleeps. */
export type Week = Uint8Array

/** An active schedule without windows would mean sleep all the time; this one has no length. */
const never: SleepWindow = { days_of_week: '', start_time: '00:00', end_time: '00:00' }

function minuteOf(text: string, whenEmpty: number): number {
  const [h, m] = text.split(':')
  return text === '' ? whenEmpty : Number(h) * 60 + Number(m)
}

/** A minute of the day as HH:MM. */
export function timeText(minute: number): string {
  return `${String(Math.floor(minute / 60)).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`
}

export function weekOf(windows: readonly SleepWindow[]): Week {
  const week = new Uint8Array(weekLength)
  for (const w of windows) {
    const from = minuteOf(w.start_time, 0)
    const until = minuteOf(w.end_time, dayLength)
    const length = until < from ? until + dayLength - from : until - from
    const on = w.days_of_week.split(' ').filter(Boolean)
    days.forEach(({ key }, day) => {
      if (on.length > 0 && !on.includes(key)) return
      for (let i = 0; i < length; i++) week[(day * dayLength + from + i) % weekLength] = 1
    })
  }
  return week
}

interface Stretch {
  day: number
  from: number
  until: number // above a day's length: on the next day
}

/** What one window can say: it begins and ends on one day, or ends on the next before the time it began. */
function stretches(week: Week): Stretch[] {
  const awake = week.indexOf(0)
  if (awake < 0) return days.map((_, day) => ({ day, from: 0, until: dayLength }))
  const found: Stretch[] = []
  // The week goes round, so it is read from a minute on in which nobody sleeps.
  for (let i = awake; i < awake + weekLength;) {
    if (!week[i % weekLength]) {
      i++
      continue
    }
    let end = i
    while (week[end % weekLength]) end++
    while (i < end) {
      const from = i % dayLength
      const length = end - i < dayLength ? end - i : dayLength - from
      found.push({ day: Math.floor(i / dayLength) % 7, from, until: from + length })
      i += length
    }
  }
  return found
}

/** As few windows as say it: the days on which the same times hold go together. */
export function windowsOf(week: Week): SleepWindow[] {
  const together = new Map<string, Set<number>>()
  for (const { day, from, until } of stretches(week)) {
    const start = from === 0 ? '' : timeText(from)
    const end = until === dayLength ? '' : timeText(until % dayLength)
    const key = `${start} ${end}`
    together.set(key, (together.get(key) ?? new Set()).add(day))
  }
  return [...together].map(([key, on]) => {
    const [start_time = '', end_time = ''] = key.split(' ')
    const names = on.size === 7 ? [] : days.filter((_, day) => on.has(day)).map((d) => d.key)
    return { days_of_week: names.join(' '), start_time, end_time }
  })
}

/** The schedule to save. */
export function scheduleOf(active: boolean, windows: readonly SleepWindow[]): Schemas['WorkerSleepSchedule'] {
  const list = windows.length > 0 ? [...windows] : [never]
  return { is_active: active, ...(list[0] ?? never), windows: list }
}

/** The windows of a schedule that was saved, without those that have no length. */
export function savedWindows(schedule: Schemas['WorkerSleepSchedule'] | undefined): SleepWindow[] {
  return (schedule?.windows ?? [])
    .filter((w) => w.start_time === '' || w.end_time === '' || w.start_time !== w.end_time)
    .map((w) => ({ ...w }))
}

/** How much of a part of the week is sleep: all, some or none of it. */
export function sleepIn(week: Week, from: number, until: number): 'all' | 'some' | 'none' {
  let asleep = 0
  for (let i = from; i < until; i++) asleep += week[i] ?? 0
  return asleep === 0 ? 'none' : asleep === until - from ? 'all' : 'some'
}

export interface Area {
  firstDay: number
  lastDay: number
  from: number // minute of the day
  until: number
}

/** The week with one time of some days painted over. */
export function painted(week: Week, area: Area, asleep: boolean): Week {
  const copy = week.slice()
  for (let day = area.firstDay; day <= area.lastDay; day++)
    copy.fill(asleep ? 1 : 0, day * dayLength + area.from, day * dayLength + area.until)
  return copy
}

/** "Mon, Tue, Wed" or "Every day", and the times: a window in words. */
export function textOf(w: SleepWindow): string {
  const on = w.days_of_week.split(' ').filter(Boolean)
  const names = on.length === 0 ? 'Every day' : days.filter((d) => on.includes(d.key)).map((d) => d.short)
  const text = typeof names === 'string' ? names : runs(names, on)
  if (w.start_time === '' && w.end_time === '') return `${text}, all day`
  return `${text}, ${w.start_time || '00:00'} to ${w.end_time || '24:00'}`
}

/** Three and more days in a row are "Mon to Fri". */
function runs(names: string[], on: string[]): string {
  const at = days.flatMap((d, i) => (on.includes(d.key) ? [i] : []))
  const first = at[0] ?? 0
  const last = at.at(-1) ?? 0
  return at.length > 2 && last - first === at.length - 1
    ? `${days[first]?.short} to ${days[last]?.short}`
    : names.join(', ')
}
