// SPDX-License-Identifier: GPL-3.0-or-later

// The configuration file while somebody edits it.

import { computed, ref, shallowRef, watch } from 'vue'
import { asApiError, client, need, ApiError } from '@/api/client'
import { useLoad } from '@/composables/useLoad'
import { changedFields, draftOf, fileOf, problems, problemsIn, type Draft } from '@/settings/fields'
import { sectionOf, variableProblems, variablesOf, type Variable } from '@/settings/variables'

type File = Record<string, unknown>

export function useConfiguration() {
  const {
    data: file,
    failure,
    load,
  } = useLoad(
    () => '',
    () => need(client.GET('/api/v3/configuration/file')) as Promise<File>,
  )
  const draft = ref<Draft>({})
  const variables = ref<Variable[]>([])
  const wrong = shallowRef<ReadonlyMap<string, string>>(new Map())
  const wrongVariables = shallowRef<ReadonlyMap<number, string>>(new Map())
  const refusal = shallowRef<ApiError>()
  const restart = shallowRef<readonly string[]>([])
  const busy = ref(false)

  const stored = computed<Draft>(() => (file.value ? draftOf(file.value) : {}))
  const storedVariables = computed(() => (file.value ? variablesOf(file.value) : []))
  const changed = computed(() => changedFields(stored.value, draft.value))
  const variablesChanged = computed(() => JSON.stringify(variables.value) !== JSON.stringify(storedVariables.value))
  const changes = computed(() => changed.value.length + (variablesChanged.value ? 1 : 0))

  function undo() {
    draft.value = { ...stored.value }
    variables.value = structuredClone(storedVariables.value)
    wrong.value = new Map()
    wrongVariables.value = new Map()
    refusal.value = undefined
  }
  // What somebody types is not taken away when the file is read again, for instance after a lost connection.
  watch(file, (now, before) => {
    if (!before || !now || changes.value === 0) return undo()
    const mine = changedFields(draftOf(before), draft.value)
    draft.value = { ...draftOf(now), ...Object.fromEntries(mine.map((f) => [f.key, draft.value[f.key] ?? ''])) }
    if (JSON.stringify(variables.value) === JSON.stringify(variablesOf(before))) variables.value = variablesOf(now)
  })

  /** Saves everything. Whether it was; what is wrong is said otherwise. */
  async function save(): Promise<boolean> {
    if (!file.value || busy.value) return false
    wrong.value = problems(draft.value)
    wrongVariables.value = variableProblems(variables.value)
    refusal.value = undefined
    if (wrong.value.size + wrongVariables.value.size > 0) return false
    const body = { ...fileOf(file.value, draft.value), variables: sectionOf(variables.value) }
    busy.value = true
    try {
      const answer = await client.PUT('/api/v3/configuration/file', { body }).catch(() => {
        throw new ApiError(0, 'the Manager does not answer')
      })
      if (!answer.response.ok) throw new ApiError(answer.response.status, answer.error?.message ?? 'it was refused')
      const keys = answer.response.headers.get('X-Flamenco-Restart-Needed') ?? ''
      restart.value = keys
        .split(',')
        .map((key) => key.trim())
        .filter(Boolean)
      file.value = body
      undo()
      await load()
      return true
    } catch (error) {
      refusal.value = asApiError(error)
      wrong.value = problemsIn(refusal.value.message)
      return false
    } finally {
      busy.value = false
    }
  }

  return {
    file,
    failure,
    load,
    draft,
    variables,
    stored,
    changed,
    changes,
    wrong,
    wrongVariables,
    refusal,
    restart,
    busy,
    undo,
    save,
  }
}
