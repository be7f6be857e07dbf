// SPDX-License-Identifier: GPL-3.0-or-later

import '@/styles/tokens.css'
import '@/styles/base.css'
import '@/styles/ansi.css'
import { createPinia } from 'pinia'
import { createApp } from 'vue'
import App from '@/App.vue'
import { openConnection } from '@/live/connection'
import { startLive } from '@/live/live'
import { router } from '@/router'

const app = createApp(App)
app.use(createPinia())
app.use(router)
startLive(app, openConnection())
app.mount('#app')
