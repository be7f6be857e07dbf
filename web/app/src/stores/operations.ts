// SPDX-License-Identifier: GPL-3.0-or-later

import { defineStore } from 'pinia'
import { shallowRef } from 'vue'
import { client, need, type Schemas } from '@/api/client'
import { useReading } from '@/stores/reading'

export type Operation = Schemas['Operation']

/** The operations of the Manager, the newest 100. There are no events about them: whoever shows them reads again. */
export const useOperations = defineStore('operations', () => {
  const rows = shallowRef<readonly Operation[]>([])
  const reading = useReading(async () => {
    rows.value = (await need(client.GET('/api/v3/operations'))).operations
  })
  return { rows, ...reading }
})
