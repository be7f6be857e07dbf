// SPDX-License-Identifier: GPL-3.0-or-later

// The state of a list that is read from the Manager: one reading at a time, a wish during one starts another after it.

import { shallowRef, type ShallowRef } from 'vue'
import { asApiError, type ApiError } from '@/api/client'

export interface Reading {
  /** Whether everything was read at least once. */
  ready: ShallowRef<boolean>
  /** Why the last reading failed. */
  failure: ShallowRef<ApiError | undefined>
  /** Reads; ends when what it began with, or what was wished for meanwhile, is read. It never throws. */
  read: () => Promise<void>
}

export function useReading(readAll: () => Promise<void>): Reading {
  const ready = shallowRef(false)
  const failure = shallowRef<ApiError>()
  let running: Promise<void> | undefined
  let again = false

  async function loop() {
    do {
      again = false
      try {
        await readAll()
        if (again) continue // it may have been about something else
        ready.value = true
        failure.value = undefined
      } catch (error) {
        failure.value = asApiError(error)
      }
    } while (again)
    running = undefined
  }

  function read() {
    if (running) again = true
    else running = loop()
    return running as Promise<void>
  }
  return { ready, failure, read }
}
