// SPDX-License-Identifier: GPL-3.0-or-later

// The Manager's API, typed by its OpenAPI document. Whatever goes wrong is an ApiError.

import createClient from 'openapi-fetch'
import { ListReader } from '@/api/listreader'
import type { components, paths } from '@/manager-api/schema.gen'

export type Schemas = components['schemas']
export type JobStatus = Schemas['JobStatus']
export type TaskStatus = Schemas['TaskStatus']
export type WorkerStatus = Schemas['WorkerStatus']
export type OperationStatus = Schemas['OperationStatus']

/** How many entries of a list one request asks for: the most that the Manager gives. */
export const pageSize = 1000

/** What the Manager, or the way to it, had against a request. */
export class ApiError extends Error {
  constructor(
    /** The HTTP status, 0 when there was no answer. */
    readonly status: number,
    message: string,
  ) {
    super(message)
  }

  /** What somebody can do about it, in a sentence. */
  get remedy(): string {
    if (this.status === 0)
      return 'Check that the Manager runs and that this computer reaches it. This page tries again by itself.'
    if (this.status === 404) return 'It may have been deleted meanwhile.'
    if (this.status === 412) return 'Somebody changed it at the same time. Look at it again, then repeat the change.'
    if (this.status === 503) return 'The Manager is busy or in maintenance. Try again in a moment.'
    if (this.status === 507) return 'The disk of the Manager is full. Make room, for instance by deleting old jobs.'
    if (this.status >= 500) return "The Manager's log says more."
    return 'Correct what the message names and try again.'
  }
}

export const client = createClient<paths>({
  baseUrl: location.origin,
  cache: 'no-cache',
  fetch: (request) => fetch(request), // the one of the moment, which tests replace
})

interface Answer<T> {
  data?: T
  error?: unknown
  response: Response
}

/** The body of an answer and the cursor of the next page, '' at the end of the list. */
export async function page<T>(call: Promise<Answer<T>>): Promise<{ body: T | undefined; next: string }> {
  const answer = await settled(call)
  return { body: answer.data, next: answer.response.headers.get('X-Flamenco-Next') ?? '' }
}

/** The body of an answer; undefined when the Manager says that there is nothing. */
export async function body<T>(call: Promise<Answer<T>>): Promise<T | undefined> {
  return (await settled(call)).data
}

/** The body of an answer that always has one. */
export async function need<T>(call: Promise<Answer<T>>): Promise<T> {
  const { data, response } = await settled(call)
  if (data === undefined) throw new ApiError(response.status, 'the Manager answered with nothing')
  return data
}

/** Reads a list while it arrives and hands on its entries, many at a time. Throws an ApiError, also if it is cut off. */
export async function streamed(
  call: Promise<Answer<ReadableStream<Uint8Array> | null>>,
  take: (entries: unknown[]) => void,
): Promise<void> {
  const { data: stream } = await settled(call)
  const reader = new ListReader()
  try {
    const source = stream?.getReader()
    for (let part = await source?.read(); part && !part.done; part = await source?.read()) {
      take(reader.push(part.value))
    }
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error
    throw new ApiError(0, 'the connection to the Manager was lost')
  }
  if (!reader.complete) throw new ApiError(0, 'the Manager did not send the whole list')
}

async function settled<T>(call: Promise<Answer<T>>): Promise<Answer<T>> {
  let answer
  try {
    answer = await call
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error
    throw new ApiError(0, 'the Manager does not answer')
  }
  if (answer.error === undefined && answer.response.ok) return answer
  throw new ApiError(
    answer.response.status,
    messageOf(answer.error) || `the Manager answered ${answer.response.status}`,
  )
}

function messageOf(error: unknown): string {
  if (typeof error === 'object' && error !== null && 'message' in error) return String(error.message)
  return typeof error === 'string' ? error.slice(0, 500) : ''
}

/** An error as one that has a remedy. */
export function asApiError(error: unknown): ApiError {
  return error instanceof ApiError ? error : new ApiError(500, error instanceof Error ? error.message : String(error))
}
