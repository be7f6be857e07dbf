// SPDX-License-Identifier: GPL-3.0-or-later

// The log of a task, live: an event says that there is more, and what there is is read from where the last reading
// ended. So an event that is lost, late or doubled does no harm.

import { computed, onScopeDispose, shallowRef, watch, type ComputedRef, type ShallowRef } from 'vue'
import { ApiError, asApiError, client } from '@/api/client'
import { useConnection, useSubscription } from '@/live/live'
import { appended, fromWholeLine, parseLines, prepended, type Line } from '@/log/loglines'

/** One request reads so much, bytes. */
const partSize = 256 << 10

export interface TaskLog {
  lines: ShallowRef<readonly Line[]>
  /** How long the log is, bytes; undefined before it was read, 0 if there is none. */
  size: ShallowRef<number | undefined>
  failure: ShallowRef<ApiError | undefined>
  /** Whether there are lines before those that are held, or after them. */
  hasOlder: ComputedRef<boolean>
  hasNewer: ComputedRef<boolean>
  older: () => Promise<void>
  newest: () => Promise<void>
  /** Shows the lines around a place in the log. */
  around: (at: number) => Promise<void>
  /** Reads what was added. */
  more: () => Promise<void>
}

/** attempt 0 is the newest. */
export function useTaskLog(task: () => string, attempt: () => number): TaskLog {
  const lines = shallowRef<readonly Line[]>([])
  const size = shallowRef<number>()
  const failure = shallowRef<ApiError>()
  const atEnd = shallowRef(true) // whether what is held reaches to the end of the log
  let end = 0 // what is held ends here
  let turn = 0
  let queue = Promise.resolve()

  async function part(offset: number, limit = partSize) {
    const query = { offset, limit, ...(attempt() > 0 ? { attempt: attempt() } : {}) }
    const params = { path: { task_id: task() }, query }
    const { data, response } = await client.GET('/api/v3/tasks/{task_id}/log/text', { params, parseAs: 'arrayBuffer' })
    if (response.status === 204) return { bytes: new Uint8Array(), offset: 0, size: 0 }
    if (!response.ok || !data) throw new ApiError(response.status, 'the log cannot be read')
    const header = (name: string) => Number(response.headers.get(name) ?? 0)
    return { bytes: new Uint8Array(data), offset: header('X-Flamenco-Log-Offset'), size: header('X-Flamenco-Log-Size') }
  }

  /** One reading after the other; what belongs to another task or attempt by then is dropped. */
  function inTurn(read: (isMine: () => boolean) => Promise<void>): Promise<void> {
    const mine = turn
    queue = queue.then(async () => {
      if (mine !== turn) return
      try {
        await read(() => mine === turn)
        failure.value = undefined
      } catch (error) {
        if (mine === turn) failure.value = asApiError(error)
      }
    })
    return queue
  }

  function show(found: Awaited<ReturnType<typeof part>>) {
    const whole = fromWholeLine(found.bytes, found.offset)
    atEnd.value = whole.offset + whole.bytes.length >= found.size
    const parsed = parseLines(whole.bytes, whole.offset, atEnd.value)
    lines.value = appended([], parsed.lines)
    end = parsed.end
    size.value = found.size
  }

  const newest = () =>
    inTurn(async (isMine) => {
      const found = await part(-partSize)
      if (isMine()) show(found)
    })

  const around = (at: number) =>
    inTurn(async (isMine) => {
      const found = await part(Math.max(0, at - partSize / 4))
      if (isMine()) show(found)
    })

  const more = () =>
    inTurn(async (isMine) => {
      if (size.value === undefined || !atEnd.value) return
      const found = await part(end)
      if (!isMine()) return
      const parsed = parseLines(found.bytes, found.offset, false)
      lines.value = appended(lines.value, parsed.lines)
      end = parsed.end
      size.value = found.size
      if (found.offset + found.bytes.length < found.size) await Promise.resolve().then(() => void more())
    })

  const older = () =>
    inTurn(async (isMine) => {
      const first = lines.value[0]?.at ?? 0
      if (first === 0) return
      const from = Math.max(0, first - partSize)
      const found = await part(from, first - from)
      if (!isMine()) return
      const whole = fromWholeLine(found.bytes, found.offset)
      const before = lines.value.at(-1)
      lines.value = prepended(lines.value, parseLines(whole.bytes, whole.offset, false).lines)
      if (lines.value.at(-1) !== before) atEnd.value = false
    })

  const hasOlder = computed(() => (lines.value[0]?.at ?? 0) > 0)
  const hasNewer = computed(() => !atEnd.value)

  watch(
    [task, attempt],
    () => {
      turn++
      lines.value = []
      size.value = undefined
      end = 0
      void newest()
    },
    { immediate: true },
  )
  useSubscription('tasklog', task)
  const connection = useConnection()
  const stops = [
    connection.on('/tasklog', (event) => {
      if (event.task_id === task() && attempt() === 0) void more()
    }),
    connection.onConnect((again) => void (again && more())),
  ]
  onScopeDispose(() => {
    turn++
    stops.forEach((stop) => stop())
  })
  return { lines, size, failure, hasOlder, hasNewer, older, newest, around, more }
}
