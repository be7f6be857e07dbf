// SPDX-License-Identifier: GPL-3.0-or-later

// Joins the connection with the stores: events go in once per frame, and everything is read again after each connect,
// because what happened without one was not told.

import { inject, onScopeDispose, watch, type App, type InjectionKey } from 'vue'
import { perFrame } from '@/live/frame'
import type { Connection, EventName, Events, SubscriptionType } from '@/live/connection'
import { useFarm } from '@/stores/farm'
import { useJobs } from '@/stores/jobs'
import { useTags } from '@/stores/tags'
import { useTasks } from '@/stores/tasks'
import { useWorkers } from '@/stores/workers'

type Arrived = { [N in EventName]: { name: N; payload: Events[N] } }[EventName]

const connectionKey: InjectionKey<Connection> = Symbol('connection')

/** Starts the live part of the app. reload is called when the Manager is another one than before. */
export function startLive(
  app: App,
  connection: Connection,
  reload = () => location.reload(),
  queue = perFrame<Arrived>,
): void {
  app.provide(connectionKey, connection)
  const farm = useFarm()
  const push = queue(applyAll)
  const names: EventName[] = ['/jobs', '/task', '/workers', '/workertags', '/status', '/lifecycle']
  for (const name of names) connection.on(name, (payload) => push({ name, payload } as Arrived))
  connection.subscribe('allJobs')
  connection.subscribe('allWorkers')
  connection.subscribe('allWorkerTags')
  connection.onConnect(readAll)
  watch(
    () => farm.replaced,
    (replaced) => replaced && reload(),
  )
  connection.start()
}

function readAll(): void {
  const tasks = useTasks()
  for (const store of [useFarm(), useJobs(), useWorkers(), useTags()]) void store.read()
  if (tasks.jobID) void tasks.read()
}

/** Hands the events of a frame to their stores. */
export function applyAll(arrived: readonly Arrived[]): void {
  const of = <N extends EventName>(name: N) =>
    arrived.filter((a): a is Extract<Arrived, { name: N }> => a.name === name).map((a) => a.payload as Events[N])
  const jobs = of('/jobs')
  const tasks = useTasks()
  const farm = useFarm()
  if (jobs.length > 0) useJobs().apply(jobs)
  tasks.apply(of('/task'))
  if (jobs.some((job) => job.refresh_tasks && job.id === tasks.jobID)) void tasks.read()
  const workers = of('/workers')
  if (workers.length > 0) useWorkers().apply(workers)
  const tags = of('/workertags')
  if (tags.length > 0) useTags().apply(tags)
  const status = of('/status').at(-1)
  if (status) farm.status = status
  const life = of('/lifecycle').at(-1)
  if (life) farm.stopping = life.type === 'manager-shutdown'
}

export function useConnection(): Connection {
  const connection = inject(connectionKey)
  if (!connection) throw new Error('there is no connection: startLive comes first')
  return connection
}

/** Asks for a kind of event for as long as a component is there. The identifier may change, '' asks for nothing. */
export function useSubscription(type: SubscriptionType, uuid?: () => string): void {
  const connection = useConnection()
  let end = () => {}
  if (uuid) {
    watch(
      uuid,
      (id) => {
        end()
        end = id ? connection.subscribe(type, id) : () => {}
      },
      { immediate: true },
    )
  } else end = connection.subscribe(type)
  onScopeDispose(() => end())
}
