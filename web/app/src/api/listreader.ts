// SPDX-License-Identifier: GPL-3.0-or-later

// A long list while it arrives: what has come of {"tasks":[{…},{…}]} is used before the rest is there, and the text is
// never in memory as a whole.

const quote = 0x22
const backslash = 0x5c
const openBrace = 0x7b
const closeBrace = 0x7d
const openBracket = 0x5b
const closeBracket = 0x5d
const entryDepth = 3 // the object, its list, an entry

export class ListReader {
  private rest: Uint8Array = new Uint8Array(0) // an entry that has only begun
  private depth = 0
  private inText = false
  private escaped = false
  private begun = false
  private readonly decoder = new TextDecoder()

  /** Takes the next bytes and returns the entries that are complete with them. */
  push(chunk: Uint8Array): unknown[] {
    const bytes = joined(this.rest, chunk)
    let start = this.rest.length > 0 ? 0 : -1
    let unfinished = start
    let end = 0
    for (let i = this.rest.length; i < bytes.length; i++) {
      const c = bytes[i]
      if (this.inText) {
        if (this.escaped) this.escaped = false
        else if (c === backslash) this.escaped = true
        else if (c === quote) this.inText = false
      } else if (c === quote) this.inText = true
      else if (c === openBrace || c === openBracket) {
        this.begun = true
        if (++this.depth !== entryDepth) continue
        unfinished = i
        if (start < 0) start = i
      } else if ((c === closeBrace || c === closeBracket) && this.depth-- === entryDepth) {
        end = i + 1
        unfinished = -1
      }
    }
    this.rest = unfinished < 0 ? new Uint8Array(0) : bytes.slice(unfinished)
    if (end === 0) return []
    return JSON.parse(`[${this.decoder.decode(bytes.subarray(start, end))}]`) as unknown[]
  }

  /** Whether the list came to its end. */
  get complete(): boolean {
    return this.begun && this.depth === 0
  }
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  if (a.length === 0) return b
  const both = new Uint8Array(a.length + b.length)
  both.set(a)
  both.set(b, a.length)
  return both
}
