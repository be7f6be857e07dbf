// SPDX-License-Identifier: GPL-3.0-or-later

// The form of a job: which settings of its type it asks for, what is wrong with them, and the job that comes of it.

import type { Schemas } from '@/api/client'

type Optional = 'required' | 'editable' // scripts leave them out
export type Setting = Omit<Schemas['AvailableJobSetting'], Optional> &
  Partial<Pick<Schemas['AvailableJobSetting'], Optional>>
export type JobType = Omit<Schemas['AvailableJobType'], 'settings'> & { settings: Setting[] }
/** What the fields hold: numbers are texts until the job is made. */
export type Values = Record<string, string | boolean>

export interface Form {
  name: string
  priority: number
  tag: string // identifier, '' = any Worker
  paused: boolean
  platform: string
  values: Values
}

const textOf = (value: unknown): string =>
  value === undefined || value === null ? '' : typeof value === 'object' ? JSON.stringify(value) : String(value)

export const labelOf = (setting: Setting): string => {
  const label = textOf(setting.label) || setting.key.replaceAll('_', ' ')
  return label.charAt(0).toUpperCase() + label.slice(1)
}
export const helpOf = (setting: Setting): string => textOf(setting.description)

/** Without Blender nobody computes these values, so the form asks for them although the add-on does not show them. */
const filledByBlender = (setting: Setting): boolean =>
  ['web', 'hidden'].includes(setting.visible ?? 'visible') && setting.required === true

/** The settings to ask for, in the order of the type: those for people, then those that Blender knows by itself. */
export function asked(type: JobType): { people: Setting[]; blender: Setting[] } {
  const editable = type.settings.filter((s) => s.editable !== false || filledByBlender(s))
  return {
    people: editable.filter((s) => ['visible', 'submission'].includes(s.visible ?? 'visible')),
    blender: editable.filter(filledByBlender),
  }
}

/** What the fields begin with: the values of another job of the type, otherwise its defaults. */
export function startValues(type: JobType, from: Readonly<Record<string, unknown>> = {}): Values {
  const values: Values = {}
  for (const s of type.settings) {
    const value = from[s.key] ?? s.default
    values[s.key] = s.type === 'bool' ? value === true : textOf(value ?? s.choices?.[0])
  }
  return values
}

function limit(setting: Setting, name: 'min' | 'max'): number | undefined {
  const value = setting.propargs?.[name]
  return typeof value === 'number' ? value : undefined
}

/** The smallest and the largest value of a number. */
export const limits = (setting: Setting) => ({ min: limit(setting, 'min'), max: limit(setting, 'max') })

function problemOf(setting: Setting, value: string | boolean | undefined): string {
  if (setting.type === 'bool') return ''
  const text = typeof value === 'string' ? value.trim() : ''
  if (text === '') return setting.required ? 'This is needed.' : ''
  if (setting.type === 'string')
    return setting.choices?.length && !setting.choices.includes(text) ? 'Choose one of the list.' : ''
  const number = Number(text)
  if (!Number.isFinite(number)) return 'This must be a number.'
  if (setting.type === 'int32' && !Number.isInteger(number)) return 'This must be a whole number.'
  const { min, max } = limits(setting)
  if (min !== undefined && number < min) return `This must be ${min} or more.`
  if (max !== undefined && number > max) return `This must be ${max} or less.`
  return ''
}

/** What is wrong, by the key of the setting; '' is the name of the job. */
export function problems(type: JobType, form: Form): Map<string, string> {
  const found = new Map<string, string>()
  if (form.name.trim() === '') found.set('', 'Give the job a name.')
  const { people, blender } = asked(type)
  for (const s of [...people, ...blender]) {
    const problem = problemOf(s, form.values[s.key])
    if (problem) found.set(s.key, problem)
  }
  return found
}

/** The setting that an answer of the Manager is about, '' if it names none. */
export function settingIn(message: string): string {
  return /setting "([^"]+)"/.exec(message)?.[1] ?? ''
}

export function jobOf(type: JobType, form: Form): Schemas['SubmittedJob'] {
  const settings: Record<string, string | number | boolean> = {}
  const { people, blender } = asked(type)
  for (const s of [...people, ...blender]) {
    const value = form.values[s.key]
    if (typeof value === 'boolean') settings[s.key] = value
    else if (value !== undefined && value.trim() !== '') settings[s.key] = s.type === 'string' ? value : Number(value)
  }
  return {
    name: form.name.trim(),
    type: type.name,
    type_etag: type.etag,
    priority: form.priority,
    submitter_platform: form.platform,
    settings,
    ...(form.tag ? { worker_tag: form.tag } : {}),
    ...(form.paused ? { initial_status: 'paused' as const } : {}),
  }
}

/** The platform whose paths somebody most likely writes, by what a browser says of itself. */
export function platformOf(agent: string): string {
  if (/Windows/i.test(agent)) return 'windows'
  return /Mac|iPhone|iPad/i.test(agent) ? 'darwin' : 'linux'
}
