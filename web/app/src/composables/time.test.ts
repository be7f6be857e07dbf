// SPDX-License-Identifier: GPL-3.0-or-later

import { expect, test } from 'vitest'
import { ago, span } from '@/composables/time'

test.each([
  [0, '0 ms'],
  [900, '900 ms'],
  [59_999, '59 s'],
  [61_000, '1 min 1 s'],
  [120_000, '2 min'],
  [15 * 60_000 + 5000, '15 min'],
  [3_600_000 * 3 + 60_000 * 20, '3 h 20 min'],
  [86_400_000 * 2 + 3_600_000, '2 d 1 h'],
])('%d milliseconds are %s', (ms, text) => expect(span(ms)).toBe(text))

test.each([
  [0, 'never'],
  [99_000, 'just now'],
  [70_000, '30 s ago'],
  [100_000 - 3 * 60_000, '3 min ago'],
])('at 100 s the time %d ms is %s', (time, text) => expect(ago(time, 100_000)).toBe(text))
