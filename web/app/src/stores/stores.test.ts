// SPDX-License-Identifier: GPL-3.0-or-later

import { createPinia, setActivePinia } from 'pinia'
import { beforeEach, expect, test, vi } from 'vitest'
import type { Schemas } from '@/api/client'
import { useFarm } from '@/stores/farm'
import { useJobs } from '@/stores/jobs'
import { useTags } from '@/stores/tags'
import { useTasks } from '@/stores/tasks'
import { useWorkers } from '@/stores/workers'
import { answerWith, job, task, worker } from '@/testing/manager'

beforeEach(() => setActivePinia(createPinia()))

const jobEvent = (more: Partial<Schemas['EventJobUpdate']> = {}): Schemas['EventJobUpdate'] => ({
  id: 'j1',
  name: 'one',
  updated: '2026-01-01T00:00:10Z',
  status: 'active',
  type: 'render',
  priority: 50,
  refresh_tasks: false,
  steps_completed: 3,
  steps_total: 10,
  seq: 7,
  ...more,
})

test('jobs are read page by page', async () => {
  const asked = answerWith({
    '/api/v3/jobs': [{ body: { jobs: [job('j1')] }, next: 'x' }, { body: { jobs: [job('j2')] } }],
  })
  const jobs = useJobs()
  await jobs.read()
  expect(jobs.rows.map((row) => row.id)).toEqual(['j1', 'j2'])
  expect(jobs.ready).toBe(true)
  expect(asked.at(-1)?.searchParams.get('after')).toBe('x')
})

test('an event changes what it says of a job and keeps the rest', async () => {
  answerWith({ '/api/v3/jobs': [{ body: { jobs: [job('j1', { worker_tag: 'gpu' })] } }] })
  const jobs = useJobs()
  await jobs.read()
  jobs.apply([jobEvent(), jobEvent({ status: 'completed', seq: 8 }), jobEvent({ status: 'queued', seq: 6 })])
  expect(jobs.get('j1')).toMatchObject({ status: 'completed', stepsDone: 3, tag: 'gpu', seq: 8 })
})

test('a job that is new is read, one that was deleted goes', async () => {
  answerWith({
    '/api/v3/jobs': [{ body: { jobs: [job('j1')] } }],
    '/api/v3/jobs/j9': [{ body: job('j9', { name: 'nine' }) }],
  })
  const jobs = useJobs()
  await jobs.read()
  jobs.apply([jobEvent({ id: 'j9' }), jobEvent({ was_deleted: true })])
  await vi.waitFor(() => expect(jobs.get('j9')?.name).toBe('nine'))
  expect(jobs.get('j1')).toBeUndefined()
})

test('a list that cannot be read says why, and is read again', async () => {
  answerWith({
    '/api/v3/jobs': [{ status: 503, body: { code: 503, message: 'maintenance' } }, { body: { jobs: [job('j1')] } }],
  })
  const jobs = useJobs()
  await jobs.read()
  expect(jobs.failure).toMatchObject({ status: 503, message: 'maintenance' })
  await jobs.read()
  expect(jobs.failure).toBeUndefined()
  expect(jobs.rows).toHaveLength(1)
})

test('only tasks of the open job are kept', async () => {
  answerWith({ '/api/v3/jobs/j1/tasks': [{ body: { tasks: [task('t1', 1), task('t2', 2)] } }] })
  const tasks = useTasks()
  await tasks.open('j1')
  const event = {
    id: 't2',
    job_id: 'j1',
    name: 'two',
    updated: '2026-01-01T00:00:10Z',
    activity: '',
    steps_completed: 1,
    steps_total: 1,
    seq: 3,
  }
  tasks.apply([
    { ...event, status: 'active', worker: { name: 'render-1', uuid: 'w1' } },
    { ...event, id: 't9', job_id: 'j2', status: 'active' },
  ])
  expect(tasks.get('t2')).toMatchObject({ status: 'active', worker: 'render-1', index: 2 })
  expect(tasks.rows).toHaveLength(2)
  await tasks.open('')
  expect(tasks.rows).toHaveLength(0)
})

test('a large job is read as one list after its first page, and is not whole when that is cut off', async () => {
  const all = Array.from({ length: 2500 }, (_, i) => task(`t${i}`, i + 1))
  const first = { body: { tasks: all.slice(0, 1000) }, next: 'more' }
  answerWith({ '/api/v3/jobs/j1/tasks': [first, { body: { tasks: all } }, first, { text: '{"tasks":[{"id":' }] })
  const tasks = useTasks()
  await tasks.open('j1')
  expect(tasks.rows.map((row) => row.id)).toEqual(all.map((t) => t.id))
  await tasks.read()
  expect(tasks.failure?.message).toBe('the Manager did not send the whole list')
  expect(tasks.rows).toHaveLength(2500)
})

test('a thousand changes among a hundred thousand tasks leave the other rows alone', async () => {
  const all = Array.from({ length: 100_000 }, (_, i) => task(`t${i}`, i + 1))
  answerWith({ '/api/v3/jobs/j1/tasks': [{ body: { tasks: all } }] })
  const tasks = useTasks()
  await tasks.open('j1')
  const before = tasks.rows
  tasks.apply(
    Array.from({ length: 1000 }, (_, i) => ({
      id: `t${i * 100}`,
      job_id: 'j1',
      name: 'x',
      updated: '2026-01-01T00:00:10Z',
      status: 'completed',
      activity: '',
      steps_completed: 1,
      steps_total: 1,
      seq: i + 1,
    })),
  )
  expect(tasks.rows.filter((row, i) => row !== before[i])).toHaveLength(1000)
})

test('an event keeps the details of a Worker, and a wish that was taken back goes', async () => {
  answerWith({
    '/api/v3/worker-mgt/workers': [
      { body: { workers: [worker('w1', { status_change: { status: 'asleep', is_lazy: true } })] } },
    ],
    '/api/v3/worker-mgt/workers/w1': [
      { body: worker('w1', { ip_address: '10.0.0.1', platform: 'linux', supported_task_types: [] }) },
    ],
  })
  const workers = useWorkers()
  await workers.read()
  expect(workers.get('w1')?.requested?.status).toBe('asleep')
  await workers.readDetails(['w1'])
  workers.apply([
    { id: 'w1', name: 'w', updated: '2026-01-01T00:00:10Z', status: 'asleep', version: '4', can_restart: true, seq: 2 },
  ])
  expect(workers.get('w1')).toMatchObject({ status: 'asleep', requested: undefined })
  expect(workers.get('w1')?.detail?.ip_address).toBe('10.0.0.1')
  workers.apply([
    {
      id: 'w1',
      name: 'w',
      updated: '2026-01-01T00:00:11Z',
      deleted_at: '2026-01-01T00:00:11Z',
      status: 'offline',
      version: '4',
      can_restart: true,
    },
  ])
  expect(workers.rows).toHaveLength(0)
})

test('tags come and go', async () => {
  answerWith({ '/api/v3/worker-mgt/tags': [{ body: { tags: [{ id: 'g', name: 'gpu' }] } }] })
  const tags = useTags()
  await tags.read()
  tags.apply([{ tag: { id: 'c', name: 'cpu' } }, { tag: { id: 'g', name: '' }, was_deleted: true }])
  expect(tags.rows.map((row) => row.name)).toEqual(['cpu'])
})

test('another version of the Manager is noticed', async () => {
  const version = { version: '4.0.0', shortversion: '4.0.0', name: 'Farm', git: 'a' }
  answerWith({
    '/api/v3/status': [{ body: { status: 'idle' } }],
    '/api/v3/configuration': [{ body: { storageLocation: '/farm', shamanEnabled: true, isFirstRun: false } }],
    '/api/v3/version': [{ body: version }, { body: version }, { body: { ...version, version: '4.0.1' } }],
  })
  const farm = useFarm()
  await farm.read()
  await farm.read()
  expect(farm.replaced).toBe(false)
  await farm.read()
  expect(farm.replaced).toBe(true)
})
