// SPDX-License-Identifier: GPL-3.0-or-later

// How fast jobs get on, seen since this page was opened, and so how long they still take.

interface Seen {
  since: number
  stepsDone: number
}

interface Progress {
  id: string
  status: string
  stepsDone: number
  stepsTotal: number
}

/** Less than this, in steps and milliseconds, says nothing about the pace. */
const leastSteps = 2
const leastTime = 5000

export class Pace {
  private readonly seen = new Map<string, Seen>()

  constructor(private readonly now = () => Date.now()) {}

  /** The time that a job still takes, in milliseconds; undefined while it is not worked on or nobody can tell yet. */
  left(job: Progress): number | undefined {
    if (job.status !== 'active') {
      this.seen.delete(job.id)
      return undefined
    }
    const first = this.seen.get(job.id)
    if (!first || job.stepsDone < first.stepsDone) {
      this.seen.set(job.id, { since: this.now(), stepsDone: job.stepsDone })
      return undefined
    }
    const steps = job.stepsDone - first.stepsDone
    const time = this.now() - first.since
    if (steps < leastSteps || time < leastTime) return undefined
    return ((job.stepsTotal - job.stepsDone) * time) / steps
  }

  forget(id: string): void {
    this.seen.delete(id)
  }
}
