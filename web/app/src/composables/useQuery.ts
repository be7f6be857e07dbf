// SPDX-License-Identifier: GPL-3.0-or-later

import { computed, type WritableComputedRef } from 'vue'
import { useRoute, useRouter } from 'vue-router'
import type { Sort } from '@/composables/useRows'

let waiting: Record<string, string | undefined> | undefined

/** A part of the address's query as a value. What is as by default is not in the address. */
export function useQuery(key: string, byDefault = ''): WritableComputedRef<string> {
  const route = useRoute()
  const router = useRouter()
  return computed({
    get: () => {
      const value = route.query[key]
      return typeof value === 'string' ? value : byDefault
    },
    set: (value) => {
      const flush = !waiting // several values that change together are one change of the address
      waiting = { ...waiting, [key]: value === byDefault ? undefined : value }
      if (!flush) return
      queueMicrotask(() => {
        const query = { ...route.query, ...waiting }
        waiting = undefined
        void router.replace({ query })
      })
    },
  })
}

/** A list in the query, separated by commas. */
export function useQueryList(key: string): WritableComputedRef<readonly string[]> {
  const text = useQuery(key)
  return computed({ get: () => text.value.split(',').filter(Boolean), set: (list) => (text.value = list.join(',')) })
}

/** A sorting order in the query, such as "-updated". */
export function useQuerySort(byDefault: string): WritableComputedRef<Sort> {
  const text = useQuery('sort', byDefault)
  return computed({
    get: () => ({ key: text.value.replace(/^-/, ''), descending: text.value.startsWith('-') }),
    set: (sort) => (text.value = (sort.descending ? '-' : '') + sort.key),
  })
}
