// SPDX-License-Identifier: GPL-3.0-or-later

import { createApp } from 'vue'
import App from './App.vue'

createApp(App).mount('#app')
