// SPDX-License-Identifier: GPL-3.0-or-later

// Package api is the HTTP API of a Flamenco Manager: the OpenAPI document, and the types, routes and client that are
// generated from it. It knows nothing of what is behind the API and imports nothing of this module.
//
// The routes of ServerInterface are all operations but one. taskOutputProduced takes two kinds of picture, which the
// strict server cannot express, so its handler is written by hand and put on the same router:
//
//	router.Post("/api/v3/worker/task/{task_id}/output-produced", handler)
package api
