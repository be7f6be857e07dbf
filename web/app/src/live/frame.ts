// SPDX-License-Identifier: GPL-3.0-or-later

// Collects what arrives and hands it on once per animation frame, so that a burst costs one update of the page.

/** How long a page that is not shown, and so has no frames, may keep things waiting: milliseconds. */
const longestWait = 1000

/** Calls run at the next frame, or after longestWait where there are no frames. */
function nextFrame(run: () => void): void {
  let done = false
  const once = () => {
    if (done) return
    done = true
    cancelAnimationFrame(frame)
    clearTimeout(timer)
    run()
  }
  const frame = requestAnimationFrame(once)
  const timer = setTimeout(once, longestWait)
}

/** A function that takes single things; apply gets all those of a frame, in order. */
export function perFrame<T>(apply: (batch: T[]) => void, schedule = nextFrame): (item: T) => void {
  let batch: T[] = []
  return (item) => {
    batch.push(item)
    if (batch.length > 1) return
    schedule(() => {
      const due = batch
      batch = []
      apply(due)
    })
  }
}
