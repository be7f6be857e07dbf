// SPDX-License-Identifier: GPL-3.0-or-later

// The variables of the configuration as rows that a person can edit.

export interface VariableValue {
  platform: string
  audience: string
  value: string
}
export interface Variable {
  name: string
  twoWay: boolean
  values: VariableValue[]
}

export const platforms = [
  { value: 'all', label: 'All systems' },
  { value: 'linux', label: 'Linux' },
  { value: 'windows', label: 'Windows' },
  { value: 'darwin', label: 'macOS' },
] as const
export const audiences = [
  { value: 'all', label: 'everybody' },
  { value: 'workers', label: 'Workers' },
  { value: 'users', label: 'people' },
] as const

interface FileValue {
  platform?: string
  platforms?: string[]
  audience?: string
  value?: string
}
type FileVariables = Record<string, { is_twoway?: boolean; values?: FileValue[] }>

/** A value for several platforms becomes a row for each of them. */
export function variablesOf(file: Record<string, unknown>): Variable[] {
  const section = (file.variables ?? {}) as FileVariables
  return Object.entries(section).map(([name, definition]) => ({
    name,
    twoWay: definition.is_twoway ?? false,
    values: (definition.values ?? []).flatMap((v) =>
      (v.platforms?.length ? v.platforms : [v.platform ?? 'all']).map((platform) => ({
        platform,
        audience: v.audience ?? 'all',
        value: v.value ?? '',
      })),
    ),
  }))
}

export function sectionOf(variables: readonly Variable[]): FileVariables {
  return Object.fromEntries(
    variables.map((v) => [v.name.trim(), { is_twoway: v.twoWay, values: v.values.map((row) => ({ ...row })) }]),
  )
}

/** What is wrong, by the place of the variable. */
export function variableProblems(variables: readonly Variable[]): Map<number, string> {
  const found = new Map<number, string>()
  const names = new Set<string>()
  variables.forEach((v, i) => {
    const name = v.name.trim()
    if (name === '') found.set(i, 'Give it a name.')
    else if (/[{}]/.test(name)) found.set(i, 'A name has no braces.')
    else if (name === 'jobs') found.set(i, '“jobs” always is the shared storage. Take another name.')
    else if (names.has(name)) found.set(i, 'There is another variable of this name.')
    else if (v.values.length === 0) found.set(i, 'It needs at least one value.')
    names.add(name)
  })
  return found
}
