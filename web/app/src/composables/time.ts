// SPDX-License-Identifier: GPL-3.0-or-later

const second = 1000
const minute = 60 * second
const hour = 60 * minute
const day = 24 * hour

/** A time span in the two largest units, such as "3 h 20 min". */
export function span(ms: number): string {
  if (ms < second) return `${Math.max(0, Math.round(ms))} ms`
  if (ms < minute) return `${Math.floor(ms / second)} s`
  if (ms < hour) return two(ms, minute, 'min', second, 's', 10)
  if (ms < day) return two(ms, hour, 'h', minute, 'min', 24)
  return two(ms, day, 'd', hour, 'h', 10)
}

/** The smaller unit is left out once there are many of the larger one. */
function two(ms: number, large: number, largeName: string, small: number, smallName: string, many: number): string {
  const n = Math.floor(ms / large)
  const rest = Math.floor((ms % large) / small)
  return n >= many || rest === 0 ? `${n} ${largeName}` : `${n} ${largeName} ${rest} ${smallName}`
}

/** How long ago a time was, in its largest unit; 0 is never. */
export function ago(time: number, now: number): string {
  if (!time) return 'never'
  const passed = now - time
  if (passed < 5 * second) return 'just now'
  if (passed < minute) return `${Math.floor(passed / second)} s ago`
  if (passed < hour) return `${Math.floor(passed / minute)} min ago`
  if (passed < day) return `${Math.floor(passed / hour)} h ago`
  return `${Math.floor(passed / day)} d ago`
}

const exact = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' })

/** A time to the second, where the reader is. */
export function exactly(time: number): string {
  return time ? exact.format(time) : 'never'
}
