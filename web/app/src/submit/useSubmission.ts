// SPDX-License-Identifier: GPL-3.0-or-later

// A job on its way in: checked or submitted, and what the Manager has against it.

import { nextTick, ref, shallowRef, watch, type Ref } from 'vue'
import { asApiError, body, client, need, type ApiError, type Schemas } from '@/api/client'
import { jobOf, problems, settingIn, startValues, type Form, type JobType } from '@/submit/form'

const stale = 412

export type Answer = { fine: true } | { fine: false; title: string; text: string }

export function useSubmission(type: () => JobType | undefined, form: Ref<Form>, readTypes: () => Promise<void>) {
  const wrong = shallowRef<Map<string, string>>(new Map())
  const answer = shallowRef<Answer>()
  const busy = ref(false)

  // What was said holds for what was there then.
  watch(
    form,
    () => {
      answer.value = undefined
      if (wrong.value.size > 0) wrong.value = new Map()
    },
    { deep: true },
  )

  async function refused(error: ApiError, doing: string): Promise<void> {
    if (error.status !== stale) {
      const key = settingIn(error.message)
      if (key) wrong.value = new Map([[key, error.message]])
      answer.value = { fine: false, title: doing, text: `${error.message}. ${error.remedy}` }
      return
    }
    await readTypes()
    const now = type()
    if (now) form.value.values = { ...startValues(now), ...form.value.values }
    await nextTick() // the change of the form would take the answer away again
    answer.value = {
      fine: false,
      title: 'The job type has changed meanwhile',
      text: 'The form has its settings as they are now. Look at them, then submit the job again.',
    }
  }

  /** Sends the job if nothing is wrong with it; undefined when it was not taken. */
  async function send<T>(doing: string, call: (job: Schemas['SubmittedJob']) => Promise<T>): Promise<T | undefined> {
    const of = type()
    if (!of || busy.value) return undefined
    wrong.value = problems(of, form.value)
    answer.value = undefined
    if (wrong.value.size > 0) {
      const n = wrong.value.size
      const text = n === 1 ? 'One value has to be corrected.' : `${n} values have to be corrected.`
      answer.value = { fine: false, title: doing, text }
      return undefined
    }
    busy.value = true
    try {
      return await call(jobOf(of, form.value))
    } catch (error) {
      await refused(asApiError(error), doing)
      return undefined
    } finally {
      busy.value = false
    }
  }

  /** Tries whether the Manager would take the job. */
  async function check(): Promise<void> {
    const taken = await send('The job cannot be submitted like this', async (job) => {
      await body(client.POST('/api/v3/jobs/check', { body: job }))
      return true
    })
    if (taken) answer.value = { fine: true }
  }

  /** Submits the job and says which one it is. */
  const submit = () => send('The job was not submitted', (job) => need(client.POST('/api/v3/jobs', { body: job })))

  return { wrong, answer, busy, check, submit }
}
