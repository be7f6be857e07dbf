// SPDX-License-Identifier: GPL-3.0-or-later

// Package web owns the files of the web app that are baked into the Manager. It must not know how they are served,
// and the files meet the Manager only over its API.
package web

import (
	"embed"
	"io/fs"
)

//go:embed app
var files embed.FS

// App is the web app: index.html and what it loads.
func App() fs.FS {
	app, err := fs.Sub(files, "app")
	if err != nil {
		panic(err) // the folder is part of the program
	}
	return app
}
