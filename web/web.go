// SPDX-License-Identifier: GPL-3.0-or-later

// Package web owns the files of the web app that are baked into the Manager. It must not know how they are served,
// and the files meet the Manager only over its API.
package web

import (
	"embed"
	"io/fs"
)

// built is what `make webapp` makes of app/, and a page that says so where that was not done. Names that begin with an
// underscore are also files of the app.
//
//go:embed all:dist
var built embed.FS

// App is the web app: index.html and what it loads, or placeholder.html alone.
func App() fs.FS {
	app, err := fs.Sub(built, "dist")
	if err != nil {
		panic(err) // the folder is part of the program
	}
	return app
}
