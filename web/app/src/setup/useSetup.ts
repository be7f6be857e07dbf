// SPDX-License-Identifier: GPL-3.0-or-later

// The setup assistant: where the files of jobs are, which Blender, and saving both.

import { computed, ref, shallowRef, watch } from 'vue'
import { asApiError, body, client, need, type ApiError, type Schemas } from '@/api/client'

export type Blender = Schemas['BlenderPathCheckResult']

/** For Workers that each have a Blender of their own: they look for it themselves. */
export const own: Blender = { input: 'blender', path: 'blender', source: 'default', is_usable: true, cause: '' }

export const sources: Record<Blender['source'], string> = {
  file_association: 'It opens .blend files on this machine.',
  path_envvar: 'It is on the path of this machine.',
  system_location: 'It is at the usual place of this system.',
  input_path: 'You gave this path.',
  default: 'Each Worker uses the Blender that it finds on its own machine.',
}

export function useSetup() {
  const folder = ref('')
  const folderCheck = shallowRef<Schemas['PathCheckResult']>()
  const found = shallowRef<readonly Blender[]>()
  const chosen = shallowRef<Blender>()
  const custom = ref('')
  const customCheck = shallowRef<Blender>()
  const failure = shallowRef<ApiError>()
  const busy = ref(false)

  watch(folder, () => (folderCheck.value = undefined))
  watch(custom, () => {
    if (chosen.value === customCheck.value) chosen.value = undefined
    customCheck.value = undefined
  })
  const folderFits = computed(() => folderCheck.value?.is_usable === true)

  async function doing<T>(act: () => Promise<T>): Promise<T | undefined> {
    if (busy.value) return undefined
    busy.value = true
    failure.value = undefined
    try {
      return await act()
    } catch (error) {
      failure.value = asApiError(error)
      return undefined
    } finally {
      busy.value = false
    }
  }

  /** Tries the folder. Whether it will do. */
  async function checkFolder(): Promise<boolean> {
    const path = folder.value.trim()
    const result = await doing(() =>
      need(client.POST('/api/v3/configuration/check/shared-storage', { body: { path } })),
    )
    if (path === folder.value.trim()) folderCheck.value = result
    return result?.is_usable === true
  }

  /** Looks for Blender and takes the most likely one. */
  async function findBlender(): Promise<void> {
    if (found.value) return
    const result = await doing(() => need(client.GET('/api/v3/configuration/check/blender')))
    if (!result) return
    found.value = result.filter((b) => b.is_usable)
    chosen.value ??= found.value[0] ?? own
  }

  /** Tries the path that somebody wrote, and takes it if it is Blender. */
  async function checkCustom(): Promise<void> {
    const path = custom.value.trim()
    const result = await doing(() => need(client.POST('/api/v3/configuration/check/blender', { body: { path } })))
    if (!result || path !== custom.value.trim()) return
    customCheck.value = result
    if (result.is_usable) chosen.value = result
  }

  /** Saves. The Manager restarts by itself then. Whether it was saved. */
  async function save(): Promise<boolean> {
    const blenderExecutable = chosen.value
    if (!blenderExecutable || !folderFits.value) return false
    const storageLocation = folderCheck.value?.path ?? folder.value.trim()
    const done = await doing(async () => {
      await body(client.POST('/api/v3/configuration/setup-assistant', { body: { storageLocation, blenderExecutable } }))
      return true
    })
    return done === true
  }

  return {
    folder,
    folderCheck,
    folderFits,
    found,
    chosen,
    custom,
    customCheck,
    failure,
    busy,
    checkFolder,
    findBlender,
    checkCustom,
    save,
  }
}
