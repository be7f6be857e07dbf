// SPDX-License-Identifier: GPL-3.0-or-later

import { expect, test } from 'vitest'
import { nextTick } from 'vue'
import { answerWith } from '@/testing/manager'
import { own, useSetup, type Blender } from '@/setup/useSetup'

const blender: Blender = {
  input: 'blender',
  path: '/usr/bin/blender',
  source: 'path_envvar',
  is_usable: true,
  cause: 'Blender 4.2',
}
const folderPath = '/api/v3/configuration/check/shared-storage'
const blenderPath = '/api/v3/configuration/check/blender'

test('nothing is saved before the folder was tried, and a changed one is tried again', async () => {
  const asked = answerWith({ [folderPath]: [{ body: { path: '/farm', is_usable: true, cause: '' } }] })
  const s = useSetup()
  s.chosen.value = blender
  s.folder.value = '/farm'
  expect(await s.save()).toBe(false)
  expect(asked).toHaveLength(0)
  expect(await s.checkFolder()).toBe(true)
  expect(s.folderFits.value).toBe(true)
  s.folder.value = '/farm2'
  await nextTick()
  expect(s.folderFits.value).toBe(false)
})

test('the most likely Blender is taken, and each Worker its own where there is none', async () => {
  answerWith({ [blenderPath]: [{ body: [{ ...blender, is_usable: false }, blender] }, { body: [] }] })
  const s = useSetup()
  await s.findBlender()
  expect(s.chosen.value).toEqual(blender)
  const other = useSetup()
  await other.findBlender()
  expect(other.chosen.value).toEqual(own)
})

test('a path that is not Blender is not taken', async () => {
  answerWith({
    [blenderPath]: [
      { body: { ...blender, source: 'input_path', is_usable: false, cause: 'not Blender' } },
      { body: { ...blender, source: 'input_path' } },
    ],
  })
  const s = useSetup()
  s.custom.value = '/bin/ls'
  await nextTick()
  await s.checkCustom()
  expect(s.chosen.value).toBeUndefined()
  expect(s.customCheck.value?.cause).toBe('not Blender')
  s.custom.value = '/usr/bin/blender'
  await nextTick()
  await s.checkCustom()
  expect(s.chosen.value?.source).toBe('input_path')
})

test('what the Manager has against it is told', async () => {
  answerWith({ [folderPath]: [{ status: 500, body: { code: 500, message: 'disk on fire' } }] })
  const s = useSetup()
  s.folder.value = '/farm'
  expect(await s.checkFolder()).toBe(false)
  expect(s.failure.value?.message).toBe('disk on fire')
})
