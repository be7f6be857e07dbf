// SPDX-License-Identifier: GPL-3.0-or-later

// The settings of the Manager as fields of a form. Which there are, and what they are good for, comes from the
// Manager's own table (settings.gen.json); here they only get their places.

import table from '@/settings/settings.gen.json'

export interface Field {
  readonly key: string // path in the file, with dots
  readonly default: string
  readonly help: string
  readonly form: string
  /** Whether a change holds at once; others wait for a restart. */
  readonly live: boolean
  readonly secret: boolean
  readonly choices?: readonly string[]
}

/** What the Manager shows instead of a secret, and takes for "as it is". */
export const hidden = '********'

export const fields: readonly Field[] = table

export interface Group {
  key: string
  title: string
  fields: readonly Field[]
}

const places: readonly [string, string, readonly string[]][] = [
  ['general', 'General', ['manager_name', 'listen', 'autodiscoverable', 'registration', 'time_zone', 'shutdown_delay']],
  [
    'storage',
    'Storage',
    ['shared_storage_path', 'local_manager_storage_path', 'files', 'shaman.', 'retention.', 'task_logs.'],
  ],
  ['s3', 'S3', ['s3.']],
  ['database', 'Database', ['database', 'durability', 'database_check_period']],
  [
    'timeouts',
    'Timeouts and failures',
    [
      'task_timeout',
      'worker_timeout',
      'timeout_grace',
      'task_request_hold',
      'blocklist_threshold',
      'task_fail_after_softfail_count',
    ],
  ],
  ['job-types', 'Job types', ['job_compiler.']],
  ['mqtt', 'MQTT', ['mqtt.']],
]

const belongs = (field: Field, names: readonly string[]) =>
  names.some((name) => (name.endsWith('.') ? field.key.startsWith(name) : field.key === name))

/** The fields in groups; those that have no place yet come last, so that none is ever missing. */
export function groupsOf(all: readonly Field[]): Group[] {
  const groups = places.map(([key, title, names]) => ({ key, title, fields: all.filter((f) => belongs(f, names)) }))
  const rest = all.filter((f) => !places.some(([, , names]) => belongs(f, names)))
  return [...groups, { key: 'other', title: 'Other', fields: rest }].filter((g) => g.fields.length > 0)
}

/** "task_logs.max_size" in words: "Max size", since its group says the rest. */
export function titleOf(field: Field): string {
  const words = field.key
    .slice(field.key.lastIndexOf('.') + 1)
    .replace(/([a-z])([A-Z])/g, '$1 $2')
    .replaceAll('_', ' ')
    .toLowerCase()
  const section = /^(shaman|retention|task_logs|job_compiler)\./.exec(field.key)?.[1]?.replace('_', ' ')
  const title = section && section !== 'job compiler' ? `${section}: ${words}` : words
  return (title.charAt(0).toUpperCase() + title.slice(1)).replace(/\bid\b/, 'ID').replace(/\bs3\b/i, 'S3')
}

function problemOf(field: Field, text: string): string {
  if (field.form === 'number' && !/^\d+$/.test(text)) return 'This must be a whole number.'
  if (field.form === 'duration' && !/^(0|(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+)$/.test(text))
    return 'This must be a duration, such as 45s, 10m or 1h30m.'
  if (field.form === 'size' && !/^\d+(\.\d+)?\s*([KMGT]i?)?B?$/i.test(text))
    return 'This must be a size, such as 256MiB or 2GB.'
  return ''
}

export type Draft = Record<string, string | boolean>
type Section = Record<string, unknown>

const isSection = (value: unknown): value is Section =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** The values of the fields, out of the file. */
export function draftOf(file: Section, all: readonly Field[] = fields): Draft {
  const draft: Draft = {}
  for (const field of all) {
    let value: unknown = file
    for (const part of field.key.split('.')) value = isSection(value) ? value[part] : undefined
    draft[field.key] = field.form === 'switch' ? value === true : String(value ?? field.default)
  }
  return draft
}

/** The file with the values of the fields; whatever else is in it stays. */
export function fileOf(file: Section, draft: Draft, all: readonly Field[] = fields): Section {
  const copy = structuredClone(file)
  for (const field of all) {
    const parts = field.key.split('.')
    const last = parts.pop() ?? ''
    let section = copy
    for (const part of parts) {
      if (!isSection(section[part])) section[part] = {}
      section = section[part] as Section
    }
    const value = draft[field.key]
    section[last] = field.form === 'number' ? Number(value) : typeof value === 'string' ? value.trim() : value
  }
  return copy
}

/** The fields that are not as they are in the file. */
export function changedFields(before: Draft, draft: Draft, all: readonly Field[] = fields): Field[] {
  return all.filter((f) => before[f.key] !== draft[f.key])
}

/** What can be seen to be wrong before the Manager is asked, by key. */
export function problems(draft: Draft, all: readonly Field[] = fields): Map<string, string> {
  const found = new Map<string, string>()
  for (const field of all) {
    const problem = problemOf(field, String(draft[field.key] ?? '').trim())
    if (problem) found.set(field.key, problem)
  }
  return found
}

/** The Manager names all that is wrong in one text: "key: problem; key: problem". */
export function problemsIn(message: string): Map<string, string> {
  const found = new Map<string, string>()
  for (const part of message.split(/; (?=[\w.[\]]+: )/)) {
    const [, key, problem] = /^([\w.[\]]+): (.+)$/s.exec(part) ?? []
    if (key && problem) found.set(key, `${problem.charAt(0).toUpperCase()}${problem.slice(1)}.`)
  }
  return found
}
