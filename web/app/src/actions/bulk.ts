// SPDX-License-Identifier: GPL-3.0-or-later

import { asApiError, type ApiError } from '@/api/client'
import { useToasts } from '@/composables/useToasts'

/** Requests under way at once. */
const together = 6

/** Does something to each of many things, some at a time; answers with the failures. */
export async function forEach<T>(things: readonly T[], act: (thing: T) => Promise<unknown>): Promise<ApiError[]> {
  const rest = [...things]
  const failures: ApiError[] = []
  const some = async () => {
    for (let thing = rest.shift(); thing !== undefined; thing = rest.shift()) {
      await act(thing).catch((error: unknown) => failures.push(asApiError(error)))
    }
  }
  await Promise.all(Array.from({ length: Math.min(together, things.length) }, some))
  return failures
}

/** "1 job", "3 jobs". */
export function counted(n: number, noun: string): string {
  return `${n.toLocaleString('en')} ${noun}${n === 1 ? '' : 's'}`
}

/** Does something to each of many things, and says how that went. */
export async function doAll<T>(
  things: readonly T[],
  noun: string,
  done: string,
  act: (thing: T) => Promise<unknown>,
): Promise<void> {
  const toasts = useToasts()
  const failures = await forEach(things, act)
  const good = things.length - failures.length
  if (good > 0) toasts.good(`${counted(good, noun)} ${done}`)
  if (failures[0]) toasts.failed(`${counted(failures.length, noun)} not ${done}`, failures[0])
}
