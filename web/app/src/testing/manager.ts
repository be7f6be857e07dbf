// SPDX-License-Identifier: GPL-3.0-or-later

// A Manager for tests: answers by path, the last one again and again; and things of the API with everything they need.

import { vi } from 'vitest'
import type { Schemas } from '@/api/client'

interface Reply {
  status?: number
  body?: unknown
  /** Instead of a body: what is no JSON. */
  text?: string
  next?: string
}

/** Makes fetch answer with replies by path, in order. Returns what is asked for, as it comes in. */
export function answerWith(replies: Record<string, Reply[]>): URL[] {
  const asked: URL[] = []
  vi.stubGlobal('fetch', async (request: Request) => {
    const url = new URL(request.url)
    asked.push(url)
    const due = replies[url.pathname]
    const reply = due && due.length > 1 ? due.shift() : due?.[0]
    if (!reply) throw new TypeError('Failed to fetch')
    const headers = { 'Content-Type': 'application/json', ...(reply.next ? { 'X-Flamenco-Next': reply.next } : {}) }
    const text = reply.text ?? (reply.body === undefined ? null : JSON.stringify(reply.body))
    return new Response(text, { status: reply.status ?? (text ? 200 : 204), headers })
  })
  return asked
}

export function job(id: string, more: Partial<Schemas['Job']> = {}): Schemas['Job'] {
  return {
    id,
    name: `job ${id}`,
    type: 'render',
    priority: 50,
    submitter_platform: 'linux',
    created: '2026-01-01T00:00:00Z',
    updated: '2026-01-01T00:00:00Z',
    status: 'queued',
    activity: '',
    steps_completed: 0,
    steps_total: 10,
    ...more,
  }
}

export function task(id: string, index: number, more: Partial<Schemas['TaskSummary']> = {}): Schemas['TaskSummary'] {
  return {
    id,
    name: `task ${index}`,
    status: 'queued',
    index_in_job: index,
    priority: 50,
    task_type: 'blender',
    updated: '2026-01-01T00:00:00Z',
    steps_completed: 0,
    steps_total: 1,
    ...more,
  }
}

export function worker(id: string, more: Partial<Schemas['Worker']> = {}): Partial<Schemas['Worker']> {
  return { id, name: `worker ${id}`, status: 'awake', version: '4.0.0', can_restart: true, ...more }
}
