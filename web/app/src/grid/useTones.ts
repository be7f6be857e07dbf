// SPDX-License-Identifier: GPL-3.0-or-later

import { onMounted, onScopeDispose, shallowRef, watch, type ShallowRef } from 'vue'
import { useTheme } from '@/composables/useTheme'

/** The colour of each status as a canvas takes it, which changes with the theme. */
export function useTones(
  statuses: readonly string[],
  place: () => HTMLElement | undefined,
): ShallowRef<Map<string, string>> {
  const tones: ShallowRef<Map<string, string>> = shallowRef(new Map())
  const theme = useTheme()
  const system = matchMedia('(prefers-color-scheme: dark)')

  function read() {
    const parent = place()
    if (!parent) return
    const probe = document.createElement('i')
    probe.className = 'tone-probe'
    parent.append(probe)
    const style = getComputedStyle(probe)
    const found = new Map<string, string>()
    for (const status of statuses) {
      probe.dataset.status = status
      found.set(status, style.color)
    }
    probe.remove()
    tones.value = found
  }
  onMounted(read)
  watch(theme, read, { flush: 'post' })
  system.addEventListener('change', read)
  onScopeDispose(() => system.removeEventListener('change', read))
  return tones
}
