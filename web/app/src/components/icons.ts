// SPDX-License-Identifier: GPL-3.0-or-later

/** Outlines on a square of 24 by 24. */
export const icons = {
  overview: 'M4 4h7v9H4zM13 4h7v5h-7zM13 12h7v8h-7zM4 16h7v4H4z',
  jobs: 'M8 6h12M8 12h12M8 18h12M4 6h.01M4 12h.01M4 18h.01',
  workers: 'M4 5h16v6H4zM4 13h16v6H4zM8 8h.01M8 16h.01M12 8h4M12 16h4',
  tags: 'M4 4h8l8 8-8 8-8-8zM8.5 8.5h.01',
  image: 'M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15.5 9h.01',
  operations: 'M12 4v4M12 16v4M4 12h4M16 12h4M6.5 6.5l2.8 2.8M14.7 14.7l2.8 2.8M6.5 17.5l2.8-2.8M14.7 9.3l2.8-2.8',
  settings: 'M5 7h8M17 7h2M13 5v4M5 17h2M11 17h8M9 15v4',
  search: 'M11 5a6 6 0 1 0 0 12 6 6 0 0 0 0-12zM16 16l4 4',
  sun: 'M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 3v2M12 19v2M3 12h2M19 12h2M5.6 5.6 7 7M17 17l1.4 1.4M5.6 18.4 7 17M17 7l1.4-1.4',
  moon: 'M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5z',
  screen: 'M4 5h16v11H4zM9 20h6M12 16v4',
  copy: 'M9 9h11v11H9zM5 15H4V4h11v1',
  check: 'M5 13l4 4L19 7',
  close: 'M6 6l12 12M18 6 6 18',
  up: 'M12 19V5M6 11l6-6 6 6',
  pause: 'M8 5v14M16 5v14',
  stop: 'M6 6h12v12H6z',
  again: 'M4 12a8 8 0 0 1 14-5l2 2M20 4v5h-5M20 12a8 8 0 0 1-14 5l-2-2M4 20v-5h5',
  trash: 'M5 7h14M10 4h4M7 7l1 13h8l1-13M10 11v5M14 11v5',
  back: 'M11 6l-6 6 6 6M5 12h14',
  download: 'M12 4v11M7 11l5 5 5-5M5 20h14',
  warning: 'M12 4 3 20h18zM12 10v4M12 17h.01',
  keyboard: 'M3 7h18v10H3zM7 11h.01M11 11h.01M15 11h.01M8 14h8',
  more: 'M5 12h.01M12 12h.01M19 12h.01',
  moonsleep: 'M5 5h6l-6 7h6M14 12h5l-5 6h5',
  power: 'M12 4v8M7 7a7 7 0 1 0 10 0',
  external: 'M14 5h5v5M19 5l-8 8M11 6H5v13h13v-6',
  plus: 'M12 5v14M5 12h14',
} as const

export type IconName = keyof typeof icons
