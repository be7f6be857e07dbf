// SPDX-License-Identifier: GPL-3.0-or-later

// The one Socket.IO connection of the page: its state, and subscriptions that survive a lost connection.

import { readonly, shallowRef, type Ref } from 'vue'
import { io } from 'socket.io-client'
import type { Schemas } from '@/api/client'

/** What the Manager tells, by the name of the event. */
export interface Events {
  '/jobs': Schemas['EventJobUpdate']
  '/task': Schemas['EventTaskUpdate']
  '/tasklog': Schemas['EventTaskLogUpdate']
  '/workers': Schemas['EventWorkerUpdate']
  '/workertags': Schemas['EventWorkerTagUpdate']
  '/last-rendered': Schemas['EventLastRenderedUpdate']
  '/status': Schemas['FarmStatusReport']
  '/lifecycle': Schemas['EventLifeCycle']
}

export type EventName = keyof Events
export type SubscriptionType = Schemas['SocketIOSubscriptionType']
export type ConnectionState = 'connecting' | 'connected' | 'lost'

/** The part of a Socket.IO client that is used here. */
export interface Socket {
  on(name: string, listener: (payload: never) => void): unknown
  off(name: string, listener: (payload: never) => void): unknown
  emit(name: string, payload: unknown): unknown
  connect(): unknown
}

export class Connection {
  private readonly current = shallowRef<ConnectionState>('connecting')
  private readonly wanted = new Map<string, { type: SubscriptionType; uuid?: string; users: number }>()
  private readonly connectListeners = new Set<(again: boolean) => void>()
  private before = false

  constructor(private readonly socket: Socket) {
    socket.on('connect', () => this.connected())
    socket.on('disconnect', () => (this.current.value = 'lost'))
    socket.on('connect_error', () => (this.current.value = 'lost'))
  }

  get state(): Readonly<Ref<ConnectionState>> {
    return readonly(this.current)
  }

  start(): void {
    this.socket.connect()
  }

  /** Calls listener for each event of a name. Returns how to stop that. */
  on<N extends EventName>(name: N, listener: (payload: Events[N]) => void): () => void {
    this.socket.on(name, listener as (payload: never) => void)
    return () => this.socket.off(name, listener as (payload: never) => void)
  }

  /** Calls listener whenever there is a connection; again is false for the first one. Returns how to stop that. */
  onConnect(listener: (again: boolean) => void): () => void {
    this.connectListeners.add(listener)
    return () => this.connectListeners.delete(listener)
  }

  /** Asks for a kind of event until the returned function is called. Whoever asks twice is told once. */
  subscribe(type: SubscriptionType, uuid?: string): () => void {
    const key = `${type} ${uuid ?? ''}`
    const known = this.wanted.get(key)
    if (known) known.users++
    else {
      this.wanted.set(key, { type, uuid, users: 1 })
      this.say('subscribe', type, uuid)
    }
    let over = false
    return () => {
      const entry = this.wanted.get(key)
      if (over || !entry) return
      over = true
      if (--entry.users > 0) return
      this.wanted.delete(key)
      this.say('unsubscribe', type, uuid)
    }
  }

  private connected(): void {
    const again = this.before
    this.before = true
    this.current.value = 'connected'
    for (const { type, uuid } of this.wanted.values()) this.say('subscribe', type, uuid)
    for (const listener of this.connectListeners) listener(again)
  }

  // Without a connection nothing is sent: what is wanted is asked for at the next one.
  private say(op: 'subscribe' | 'unsubscribe', type: SubscriptionType, uuid?: string): void {
    if (this.current.value === 'connected') this.socket.emit('/subscription', uuid ? { op, type, uuid } : { op, type })
  }
}

/** A connection to the Manager that this page came from; nothing happens before start. */
export function openConnection(): Connection {
  const socket = io({
    transports: ['websocket', 'polling'],
    autoConnect: false,
    reconnectionDelay: 500,
    reconnectionDelayMax: 5000,
  })
  return new Connection(socket as unknown as Socket) // its listeners take anything, ours what the Manager sends
}
