// SPDX-License-Identifier: GPL-3.0-or-later

import { onScopeDispose } from 'vue'

export interface Key {
  /** As KeyboardEvent.key has it; "g j" is one key after the other. */
  keys: string
  /** What it does, for the list of keys. */
  does: string
  run: () => void
}

const sets = new Set<readonly Key[]>()
/** The second key of two has to come within this time, milliseconds. */
const patience = 1200
let first = ''
let firstAt = 0

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))
}

function onKey(event: KeyboardEvent): void {
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return
  if (document.querySelector('[role=dialog], [role=alertdialog]')) return
  const two = event.timeStamp - firstAt < patience ? `${first} ${event.key}` : ''
  const all = [...sets].flat()
  const found = all.find((k) => k.keys === two) ?? all.find((k) => k.keys === event.key)
  first = found ? '' : event.key
  firstAt = event.timeStamp
  if (!found) return
  event.preventDefault()
  found.run()
}

/** Keys that work everywhere but in fields and dialogs, for as long as a component is there. */
export function useKeys(keys: readonly Key[]): void {
  if (sets.size === 0) addEventListener('keydown', onKey)
  sets.add(keys)
  onScopeDispose(() => {
    sets.delete(keys)
    if (sets.size === 0) removeEventListener('keydown', onKey)
  })
}

/** The keys of this moment. */
export function keysNow(): Key[] {
  return [...sets].flat()
}
