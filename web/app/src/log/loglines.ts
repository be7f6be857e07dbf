// SPDX-License-Identifier: GPL-3.0-or-later

// The lines of a task's log that are held: the last ones, or some further up. A line is known by where it begins in the
// log, in bytes, so that what is read twice is not shown twice.

import { AnsiUp } from 'ansi_up'

export interface Line {
  /** Where it begins, bytes from the beginning of the log. */
  readonly at: number
  readonly text: string
  /** The text with its colours, everything else escaped. */
  readonly html: string
}

/** So many lines are held; the others are read again when somebody wants to see them. */
export const mostLines = 1000

const newline = 10

/** Divides a part of a log into lines. Without complete, what follows the last newline is left for the next part. */
export function parseLines(bytes: Uint8Array, offset: number, complete: boolean): { lines: Line[]; end: number } {
  const ansi = new AnsiUp()
  ansi.use_classes = true // the page allows no styles inside of elements
  const decoder = new TextDecoder()
  const lines: Line[] = []
  let start = 0
  const take = (end: number) => {
    const text = decoder.decode(bytes.subarray(start, end)).replace(/\r$/, '')
    lines.push({ at: offset + start, text: text.replace(/\x1b\[[0-9;]*[A-Za-z]/g, ''), html: ansi.ansi_to_html(text) })
  }
  for (let end = bytes.indexOf(newline, start); end >= 0; end = bytes.indexOf(newline, start)) {
    take(end)
    start = end + 1
  }
  if (complete && start < bytes.length) {
    take(bytes.length)
    start = bytes.length
  }
  return { lines, end: offset + start }
}

/** The part of some bytes that begins with a whole line, unless they are the beginning of the log. */
export function fromWholeLine(bytes: Uint8Array, offset: number): { bytes: Uint8Array; offset: number } {
  if (offset === 0) return { bytes, offset }
  const skip = bytes.indexOf(newline) + 1
  return { bytes: bytes.subarray(skip), offset: offset + skip }
}

/** Adds lines at the end and forgets the first ones if there are too many. */
export function appended(held: readonly Line[], more: readonly Line[]): readonly Line[] {
  const last = held.at(-1)?.at ?? -1
  const fresh = more.filter((line) => line.at > last)
  return fresh.length === 0 ? held : [...held, ...fresh].slice(-mostLines)
}

/** Adds lines at the beginning and forgets the last ones if there are too many. */
export function prepended(held: readonly Line[], more: readonly Line[]): readonly Line[] {
  const first = held[0]?.at ?? Infinity
  return [...more.filter((line) => line.at < first), ...held].slice(0, mostLines)
}
