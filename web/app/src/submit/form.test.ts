// SPDX-License-Identifier: GPL-3.0-or-later

import { describe, expect, test } from 'vitest'
import { asked, jobOf, platformOf, problems, settingIn, startValues, type Form, type JobType } from '@/submit/form'

const type: JobType = {
  name: 'render',
  label: 'Render',
  etag: 'abc',
  settings: [
    { key: 'frames', type: 'string', required: true },
    { key: 'chunk_size', type: 'int32', default: 5, propargs: { min: 1, max: 10 }, visible: 'submission' },
    { key: 'scale', type: 'float' },
    { key: 'denoise', type: 'bool', default: true },
    { key: 'format', type: 'string', choices: ['PNG', 'EXR'], default: 'PNG' },
    { key: 'output', type: 'string', editable: false, eval: 'something' },
    { key: 'blendfile', type: 'string', required: true, visible: 'web' },
    { key: 'fps', type: 'float', eval: 'fps', visible: 'hidden' },
  ],
}

function form(values: Form['values'] = {}, more: Partial<Form> = {}): Form {
  return {
    name: 'Shot 1',
    priority: 50,
    tag: '',
    paused: false,
    platform: 'linux',
    values: { ...startValues(type), frames: '1-3', blendfile: '/a.blend', ...values },
    ...more,
  }
}

describe('the form of a job', () => {
  test('asks for what people choose, then for what only Blender would know', () => {
    const { people, blender } = asked(type)
    expect(people.map((s) => s.key)).toEqual(['frames', 'chunk_size', 'scale', 'denoise', 'format'])
    expect(blender.map((s) => s.key)).toEqual(['blendfile'])
  })

  test('begins with the defaults, or with the values of another job', () => {
    expect(startValues(type)).toMatchObject({ frames: '', chunk_size: '5', denoise: true, format: 'PNG' })
    expect(startValues(type, { frames: '7', chunk_size: 2, denoise: false })).toMatchObject({
      frames: '7',
      chunk_size: '2',
      denoise: false,
    })
  })

  test('says what is wrong with each value', () => {
    expect(problems(type, form()).size).toBe(0)
    const wrong = problems(type, form({ frames: ' ', chunk_size: '11', scale: 'x', format: 'GIF' }, { name: '' }))
    expect(Object.fromEntries(wrong)).toEqual({
      '': 'Give the job a name.',
      frames: 'This is needed.',
      chunk_size: 'This must be 10 or less.',
      scale: 'This must be a number.',
      format: 'Choose one of the list.',
    })
    expect(problems(type, form({ chunk_size: '1.5' })).get('chunk_size')).toBe('This must be a whole number.')
    expect(problems(type, form({ chunk_size: '0' })).get('chunk_size')).toBe('This must be 1 or more.')
  })

  test('makes a job with typed values and leaves out what is empty', () => {
    expect(jobOf(type, form({ chunk_size: '3' }))).toEqual({
      name: 'Shot 1',
      type: 'render',
      type_etag: 'abc',
      priority: 50,
      submitter_platform: 'linux',
      settings: { frames: '1-3', chunk_size: 3, denoise: true, format: 'PNG', blendfile: '/a.blend' },
    })
    expect(jobOf(type, form({}, { tag: 't', paused: true }))).toMatchObject({
      worker_tag: 't',
      initial_status: 'paused',
    })
  })

  test('finds the setting that an error is about', () => {
    expect(settingIn('setting "format": FFMPEG is a video format')).toBe('format')
    expect(settingIn('something else')).toBe('')
  })

  test('takes paths to be those of the system that the browser runs on', () => {
    expect(platformOf('Mozilla/5.0 (Windows NT 10.0; Win64; x64)')).toBe('windows')
    expect(platformOf('Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)')).toBe('darwin')
    expect(platformOf('Mozilla/5.0 (X11; Linux x86_64)')).toBe('linux')
  })
})
