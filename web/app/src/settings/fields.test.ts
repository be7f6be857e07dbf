// SPDX-License-Identifier: GPL-3.0-or-later

import { describe, expect, test } from 'vitest'
import {
  changedFields,
  draftOf,
  fields,
  fileOf,
  groupsOf,
  hidden,
  problems,
  problemsIn,
  titleOf,
} from '@/settings/fields'
import { sectionOf, variableProblems, variablesOf } from '@/settings/variables'

const field = (key: string, more = {}) => ({
  key,
  default: '',
  help: '',
  form: 'text',
  live: true,
  secret: false,
  ...more,
})

describe('the settings', () => {
  test('all have a place, and one that is new is shown as well', () => {
    const groups = groupsOf([...fields, field('brand_new')])
    expect(groups.flatMap((g) => g.fields)).toHaveLength(fields.length + 1)
    expect(groups.at(-1)).toMatchObject({ key: 'other', fields: [{ key: 'brand_new' }] })
    expect(groupsOf(fields).some((g) => g.key === 'other')).toBe(false)
  })

  test('go from the file into the form and back, and what the form does not know stays', () => {
    const file = { manager_name: 'Farm', mqtt: { client: { password: hidden } }, variables: { a: 1 }, unknown: [1] }
    const all = [
      field('manager_name'),
      field('mqtt.client.password'),
      field('mqtt.client.enabled', { form: 'switch', default: 'false' }),
      field('blocklist_threshold', { form: 'number', default: '3' }),
    ]
    const draft = draftOf(file, all)
    expect(draft).toEqual({
      manager_name: 'Farm',
      'mqtt.client.password': hidden,
      'mqtt.client.enabled': false,
      blocklist_threshold: '3',
    })
    const next = fileOf(file, { ...draft, manager_name: ' Bigger ', blocklist_threshold: '5' }, all)
    expect(next).toEqual({
      manager_name: 'Bigger',
      mqtt: { client: { password: hidden, enabled: false } },
      blocklist_threshold: 5,
      variables: { a: 1 },
      unknown: [1],
    })
    expect(file.manager_name).toBe('Farm')
  })

  test('that are changed are known', () => {
    const all = [field('a'), field('b')]
    expect(changedFields({ a: '1', b: '2' }, { a: '1', b: '3' }, all).map((f) => f.key)).toEqual(['b'])
  })

  test('are looked at before the Manager is asked, and all defaults are fine', () => {
    expect(problems(draftOf({}))).toEqual(new Map())
    const wrong = problems({
      ...draftOf({}),
      task_timeout: '10',
      'task_logs.max_size': 'big',
      blocklist_threshold: '-1',
    })
    expect([...wrong.keys()].sort()).toEqual(['blocklist_threshold', 'task_logs.max_size', 'task_timeout'])
  })

  test('get the problems that the Manager names', () => {
    const message = 'listen: "x" is not an address; task_timeout: "a; b" is not a duration such as 45s'
    expect(Object.fromEntries(problemsIn(message))).toEqual({
      listen: '"x" is not an address.',
      task_timeout: '"a; b" is not a duration such as 45s.',
    })
    expect(problemsIn('the file was changed').size).toBe(0)
  })

  test('have names for people', () => {
    expect(titleOf(field('task_timeout'))).toBe('Task timeout')
    expect(titleOf(field('shaman.garbageCollect.maxAge'))).toBe('Shaman: max age')
    expect(titleOf(field('mqtt.client.clientID'))).toBe('Client ID')
  })
})

describe('variables', () => {
  const file = {
    variables: {
      blender: { is_twoway: false, values: [{ platforms: ['linux', 'darwin'], audience: 'workers', value: '/opt/b' }] },
      farm: { is_twoway: true, values: [{ platform: 'windows', value: 'F:\\' }] },
    },
  }

  test('have a row for each platform, and come back as they were', () => {
    const rows = variablesOf(file)
    expect(rows[0]?.values.map((v) => v.platform)).toEqual(['linux', 'darwin'])
    expect(rows[1]).toEqual({
      name: 'farm',
      twoWay: true,
      values: [{ platform: 'windows', audience: 'all', value: 'F:\\' }],
    })
    expect(variablesOf({ variables: sectionOf(rows) })).toEqual(rows)
  })

  test('need names of their own, and values', () => {
    const value = { platform: 'all', audience: 'all', value: 'x' }
    const rows = ['', 'a{', 'jobs', 'x', 'x'].map((name) => ({ name, twoWay: false, values: [value] }))
    expect([...variableProblems([...rows, { name: 'y', twoWay: false, values: [] }]).keys()]).toEqual([0, 1, 2, 4, 5])
  })
})
