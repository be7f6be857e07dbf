// SPDX-License-Identifier: GPL-3.0-or-later

// Removes what an earlier build left in web/dist/, all but the page for a clone without a build.

import { readdirSync, rmSync } from 'node:fs'

const dist = new URL('../../dist/', import.meta.url)
for (const name of readdirSync(dist)) {
  if (name !== 'placeholder.html') rmSync(new URL(name, dist), { recursive: true })
}
