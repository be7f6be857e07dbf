// SPDX-License-Identifier: GPL-3.0-or-later

import { ref, watchEffect, type Ref } from 'vue'

export const themes = ['system', 'light', 'dark'] as const
export type Theme = (typeof themes)[number]

const key = 'flamenco.theme'
const theme = ref<Theme>(themes.find((t) => t === localStorage.getItem(key)) ?? 'system')

watchEffect(() => {
  if (theme.value === 'system') {
    delete document.documentElement.dataset.theme
    localStorage.removeItem(key)
    return
  }
  document.documentElement.dataset.theme = theme.value
  localStorage.setItem(key, theme.value)
})

/** Light, dark, or as the system is; remembered in this browser. */
export function useTheme(): Ref<Theme> {
  return theme
}
