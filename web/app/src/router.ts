// SPDX-License-Identifier: GPL-3.0-or-later

import { createRouter, createWebHistory } from 'vue-router'

export const router = createRouter({
  history: createWebHistory('/app/'),
  routes: [
    { path: '/', name: 'overview', component: () => import('@/pages/OverviewPage.vue'), meta: { title: 'Overview' } },
    { path: '/jobs', name: 'jobs', component: () => import('@/pages/JobsPage.vue'), meta: { title: 'Jobs' } },
    {
      path: '/submit',
      name: 'submit',
      component: () => import('@/pages/SubmitPage.vue'),
      meta: { title: 'Submit a job', under: 'jobs' },
    },
    {
      path: '/jobs/:job',
      name: 'job',
      component: () => import('@/pages/JobPage.vue'),
      props: true,
      meta: { title: 'Job' },
    },
    {
      path: '/jobs/:job/:task',
      name: 'task',
      component: () => import('@/pages/TaskPage.vue'),
      props: true,
      meta: { title: 'Task' },
    },
    {
      path: '/workers',
      name: 'workers',
      component: () => import('@/pages/WorkersPage.vue'),
      meta: { title: 'Workers' },
    },
    {
      path: '/workers/:worker',
      name: 'worker',
      component: () => import('@/pages/WorkerPage.vue'),
      props: true,
      meta: { title: 'Worker' },
    },
    { path: '/tags', name: 'tags', component: () => import('@/pages/TagsPage.vue'), meta: { title: 'Tags' } },
    {
      path: '/last-rendered',
      name: 'last-rendered',
      component: () => import('@/pages/LastRenderedPage.vue'),
      meta: { title: 'Last rendered' },
    },
    {
      path: '/operations',
      name: 'operations',
      component: () => import('@/pages/OperationsPage.vue'),
      meta: { title: 'Operations' },
    },
    {
      path: '/settings',
      name: 'settings',
      component: () => import('@/pages/SettingsPage.vue'),
      meta: { title: 'Settings' },
    },
    {
      path: '/setup',
      name: 'setup',
      component: () => import('@/pages/SetupPage.vue'),
      meta: { title: 'Setup', under: 'settings' },
    },
    {
      path: '/:rest(.*)',
      name: 'nowhere',
      component: () => import('@/pages/NowherePage.vue'),
      meta: { title: 'Not found' },
    },
  ],
})
