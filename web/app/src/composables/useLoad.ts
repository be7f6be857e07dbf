// SPDX-License-Identifier: GPL-3.0-or-later

import { onScopeDispose, shallowRef, watch, type ShallowRef, type WatchSource } from 'vue'
import { asApiError, type ApiError } from '@/api/client'
import { useConnection } from '@/live/live'

export interface Load<T> {
  data: ShallowRef<T | undefined>
  failure: ShallowRef<ApiError | undefined>
  load: () => Promise<void>
}

/** Something that a page reads for itself: at once, when what it is about changes, and after a reconnect. */
export function useLoad<T>(about: WatchSource, read: () => Promise<T>): Load<T> {
  const data = shallowRef<T>()
  const failure = shallowRef<ApiError>()
  let turn = 0

  async function load() {
    const mine = ++turn
    try {
      const found = await read()
      if (mine !== turn) return
      data.value = found
      failure.value = undefined
    } catch (error) {
      if (mine === turn) failure.value = asApiError(error)
    }
  }
  watch(about, load, { immediate: true })
  onScopeDispose(useConnection().onConnect((again) => void (again && load())))
  return { data, failure, load }
}
