// SPDX-License-Identifier: GPL-3.0-or-later

import { createPinia, setActivePinia } from 'pinia'
import { beforeEach, expect, test, vi } from 'vitest'
import { createApp, nextTick } from 'vue'
import { Connection, type Socket } from '@/live/connection'
import { perFrame } from '@/live/frame'
import { startLive } from '@/live/live'
import { Pace } from '@/stores/pace'
import { useFarm } from '@/stores/farm'
import { useJobs } from '@/stores/jobs'
import { answerWith, job } from '@/testing/manager'

class FakeSocket implements Socket {
  readonly sent: unknown[] = []
  private readonly listeners = new Map<string, (payload: never) => void>()
  on(name: string, listener: (payload: never) => void) {
    this.listeners.set(name, listener)
  }
  off(name: string) {
    this.listeners.delete(name)
  }
  emit(_name: string, payload: unknown) {
    this.sent.push(payload)
  }
  connect() {}
  tell(name: string, payload: unknown = undefined) {
    this.listeners.get(name)?.(payload as never)
  }
}

function setup() {
  const socket = new FakeSocket()
  return { socket, connection: new Connection(socket) }
}

const version = { version: '4.0.0', shortversion: '4.0.0', name: 'Farm', git: 'a' }
const quiet = {
  '/api/v3/status': [{ body: { status: 'idle' } }],
  '/api/v3/worker-mgt/workers': [{ body: { workers: [] } }],
  '/api/v3/worker-mgt/tags': [{ body: { tags: [] } }],
}

beforeEach(() => setActivePinia(createPinia()))

test('what is collected until the next frame is handed on at once', () => {
  const applied: number[][] = []
  const frames: (() => void)[] = []
  const push = perFrame<number>(
    (batch) => applied.push(batch),
    (run) => frames.push(run),
  )
  push(1)
  push(2)
  expect([applied.length, frames.length]).toEqual([0, 1])
  frames[0]?.()
  push(3)
  frames[1]?.()
  expect(applied).toEqual([[1, 2], [3]])
})

test('a page without frames gets its events all the same', () => {
  vi.useFakeTimers()
  vi.stubGlobal('requestAnimationFrame', () => 1)
  const applied: number[][] = []
  perFrame<number>((batch) => applied.push(batch))(1)
  vi.advanceTimersByTime(1000)
  expect(applied).toEqual([[1]])
  vi.unstubAllGlobals()
  vi.useRealTimers()
})

test('a subscription is asked for once, again after a lost connection, and ended by its last user', () => {
  const { socket, connection } = setup()
  const first = connection.subscribe('job', 'j1')
  expect(socket.sent).toEqual([])
  socket.tell('connect')
  const second = connection.subscribe('job', 'j1')
  const asked = { op: 'subscribe', type: 'job', uuid: 'j1' }
  expect(socket.sent).toEqual([asked])
  socket.tell('disconnect')
  expect(connection.state.value).toBe('lost')
  socket.tell('connect')
  expect(socket.sent).toEqual([asked, asked])
  first()
  first()
  expect(socket.sent).toHaveLength(2)
  second()
  expect(socket.sent.at(-1)).toEqual({ op: 'unsubscribe', type: 'job', uuid: 'j1' })
  socket.tell('connect')
  expect(socket.sent).toHaveLength(3)
})

test('events go to their stores, and everything is read again after a reconnect', async () => {
  const { socket, connection } = setup()
  const asked = answerWith({
    ...quiet,
    '/api/v3/configuration': [{ body: { storageLocation: '/farm', shamanEnabled: true, isFirstRun: false } }],
    '/api/v3/version': [{ body: version }],
    '/api/v3/jobs': [{ body: { jobs: [job('j1')] } }],
  })
  const reload = vi.fn()
  startLive(createApp({}), connection, reload, (apply) => (item) => apply([item]))
  socket.tell('connect')
  const jobs = useJobs()
  await vi.waitFor(() => expect(jobs.ready).toBe(true))
  socket.tell('/jobs', {
    ...job('j1', { status: 'active', updated: '2026-01-02T00:00:00Z' }),
    refresh_tasks: false,
    seq: 1,
  })
  expect(jobs.get('j1')?.status).toBe('active')
  socket.tell('/status', { status: 'active' })
  socket.tell('/lifecycle', { type: 'manager-shutdown' })
  expect(useFarm()).toMatchObject({ status: { status: 'active' }, stopping: true })
  const before = asked.length
  socket.tell('disconnect')
  socket.tell('connect')
  await vi.waitFor(() => expect(asked.slice(before).some((url) => url.pathname === '/api/v3/jobs')).toBe(true))
  await vi.waitFor(() => expect(useFarm().stopping).toBe(false))
  expect(reload).not.toHaveBeenCalled()
})

test('the page is loaded again when the Manager has another version', async () => {
  const { socket, connection } = setup()
  answerWith({
    ...quiet,
    '/api/v3/configuration': [{ body: { storageLocation: '/farm', shamanEnabled: true, isFirstRun: false } }],
    '/api/v3/version': [{ body: version }, { body: { ...version, version: '4.1.0' } }],
    '/api/v3/jobs': [{ body: { jobs: [] } }],
  })
  const reload = vi.fn()
  startLive(createApp({}), connection, reload)
  socket.tell('connect')
  await vi.waitFor(() => expect(useFarm().ready).toBe(true))
  socket.tell('connect')
  await vi.waitFor(() => expect(useFarm().replaced).toBe(true))
  await nextTick()
  expect(reload).toHaveBeenCalledOnce()
})

test('the time that a job still takes follows from its pace', () => {
  let now = 0
  const pace = new Pace(() => now)
  const job = { id: 'j1', status: 'active', stepsDone: 10, stepsTotal: 110 }
  expect(pace.left(job)).toBeUndefined()
  now = 10_000
  expect(pace.left({ ...job, stepsDone: 20 })).toBe(90_000)
  expect(pace.left({ ...job, status: 'paused' })).toBeUndefined()
})
