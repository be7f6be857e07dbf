// SPDX-License-Identifier: GPL-3.0-or-later

import { defineStore } from 'pinia'
import { shallowRef } from 'vue'
import { client, need, type Schemas } from '@/api/client'
import { useReading } from '@/stores/reading'

/** The farm as a whole: its status, and the Manager's name and version. */
export const useFarm = defineStore('farm', () => {
  const status = shallowRef<Schemas['FarmStatusReport']>({ status: 'unknown' })
  const version = shallowRef<Schemas['FlamencoVersion']>()
  const stopping = shallowRef(false)
  /** Whether somebody still has to go through the setup assistant. */
  const needsSetup = shallowRef(false)
  /** Whether the Manager is another one than that which this page came from. */
  const replaced = shallowRef(false)

  const reading = useReading(async () => {
    const [now, found, configuration] = await Promise.all([
      need(client.GET('/api/v3/status')),
      need(client.GET('/api/v3/version')),
      need(client.GET('/api/v3/configuration')),
    ])
    needsSetup.value = configuration.isFirstRun
    status.value = now
    stopping.value = false
    const known = version.value
    version.value = found
    if (known && (known.version !== found.version || known.git !== found.git || known.name !== found.name))
      replaced.value = true
  })

  return { status, version, stopping, needsSetup, replaced, ...reading }
})
