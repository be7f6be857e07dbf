// SPDX-License-Identifier: GPL-3.0-or-later

import { expect, test } from 'vitest'
import { nextTick, ref } from 'vue'
import { answerWith, job } from '@/testing/manager'
import { startValues, type Form, type JobType } from '@/submit/form'
import { useSubmission } from '@/submit/useSubmission'

const type: JobType = {
  name: 'render',
  label: 'Render',
  etag: 'one',
  settings: [{ key: 'frames', type: 'string', required: true }],
}

function setup(values: Form['values'] = { frames: '1-3' }) {
  let current = type
  const form = ref<Form>({ name: 'Shot', priority: 50, tag: '', paused: false, platform: 'linux', values })
  const readTypes = async () => {
    current = { ...type, etag: 'two', settings: [...type.settings, { key: 'chunk', type: 'int32', default: 4 }] }
  }
  return { form, type: () => current, ...useSubmission(() => current, form, readTypes) }
}

test('a job that lacks something is not sent', async () => {
  const asked = answerWith({})
  const s = setup(startValues(type))
  expect(await s.submit()).toBeUndefined()
  expect(asked).toHaveLength(0)
  expect(s.wrong.value.get('frames')).toBe('This is needed.')
  expect(s.answer.value).toMatchObject({ fine: false, text: 'One value has to be corrected.' })
})

test('a job is submitted once, and its row comes back', async () => {
  answerWith({ '/api/v3/jobs': [{ body: job('j1') }] })
  const s = setup()
  const [first, second] = await Promise.all([s.submit(), s.submit()])
  expect(first?.id).toBe('j1')
  expect(second).toBeUndefined()
})

test('a check says that the job is fine until something is changed', async () => {
  answerWith({ '/api/v3/jobs/check': [{ status: 204 }] })
  const s = setup()
  await s.check()
  expect(s.answer.value).toEqual({ fine: true })
  s.form.value.values.frames = '4'
  await nextTick()
  expect(s.answer.value).toBeUndefined()
})

test('an error of the script marks the setting that it names', async () => {
  answerWith({ '/api/v3/jobs/check': [{ status: 400, body: { code: 400, message: 'setting "frames": no numbers' } }] })
  const s = setup()
  await s.check()
  expect(s.wrong.value.get('frames')).toContain('no numbers')
  expect(s.answer.value).toMatchObject({ fine: false })
})

test('a job type that changed meanwhile is read again, and the values stay', async () => {
  answerWith({ '/api/v3/jobs': [{ status: 412, body: { code: 412, message: 'the job type has changed' } }] })
  const s = setup({ frames: '7-9' })
  expect(await s.submit()).toBeUndefined()
  expect(s.type().etag).toBe('two')
  expect(s.form.value.values).toEqual({ frames: '7-9', chunk: '4' })
  await nextTick()
  expect(s.answer.value).toMatchObject({ title: 'The job type has changed meanwhile' })
})
