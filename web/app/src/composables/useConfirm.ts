// SPDX-License-Identifier: GPL-3.0-or-later

import { readonly, shallowRef } from 'vue'

export interface Question {
  title: string
  /** What will happen, a paragraph each. */
  text: readonly string[]
  /** The word on the button that does it. */
  confirm: string
  danger?: boolean
  /** A value that is asked for as well. */
  field?: {
    label: string
    value: string
    /** Any text instead of a number. */
    text?: boolean
    min?: number
    max?: number
    options?: readonly { value: string; label: string }[]
  }
}

const question = shallowRef<Question>()
let settle: (value: string | undefined) => void = () => {}

/** Asks before something happens. The answer is the value of the field ('' without one), undefined for no. */
export function ask(q: Question): Promise<string | undefined> {
  settle(undefined)
  question.value = q
  return new Promise((resolve) => (settle = resolve))
}

/** For the one dialog of the page. */
export function useConfirm() {
  return {
    question: readonly(question),
    answer: (value: string | undefined) => {
      question.value = undefined
      settle(value)
      settle = () => {}
    },
  }
}
