// SPDX-License-Identifier: GPL-3.0-or-later

import { onScopeDispose, readonly, ref, type Ref } from 'vue'

/** Whether Shift is held down: then rows stay where they are, so that nobody selects what has just moved there. */
export function useShift(): Readonly<Ref<boolean>> {
  const held = ref(false)
  const follow = (event: KeyboardEvent) => (held.value = event.shiftKey)
  const release = () => (held.value = false)
  addEventListener('keydown', follow)
  addEventListener('keyup', follow)
  addEventListener('blur', release)
  onScopeDispose(() => {
    removeEventListener('keydown', follow)
    removeEventListener('keyup', follow)
    removeEventListener('blur', release)
  })
  return readonly(held)
}
