// SPDX-License-Identifier: GPL-3.0-or-later

import { readonly, shallowRef } from 'vue'
import { asApiError } from '@/api/client'

export interface Toast {
  id: number
  tone: 'good' | 'bad'
  title: string
  text: string
}

const most = 4
const toasts = shallowRef<readonly Toast[]>([])
let last = 0

function show(tone: Toast['tone'], title: string, text = ''): void {
  toasts.value = [...toasts.value, { id: ++last, tone, title, text }].slice(-most)
}

/** Short messages at the edge of the page. */
export function useToasts() {
  return {
    toasts: readonly(toasts),
    good: (title: string, text?: string) => show('good', title, text),
    /** Says what failed, why, and what to do about it. */
    failed: (title: string, error: unknown) => {
      const e = asApiError(error)
      show('bad', title, `${e.message}. ${e.remedy}`)
    },
    dismiss: (id: number) => (toasts.value = toasts.value.filter((t) => t.id !== id)),
  }
}
