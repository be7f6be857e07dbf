// SPDX-License-Identifier: GPL-3.0-or-later

package manager

import (
	"fmt"
	"net/http"
	"net/url"

	"flamenco.farm/internal/manager/httpapi"
	"flamenco.farm/web"
)

// parseWebProxy reads the address of a Vite server.
func parseWebProxy(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("-web-proxy: %w", err)
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("-web-proxy %q is not an address such as http://localhost:5173", text)
	}
	return u, nil
}

func (m *Manager) webApp() http.Handler {
	if m.opts.WebProxy == nil {
		return httpapi.WebApp(web.App())
	}
	m.opts.Log.Warn("the web app comes from another server, which is for work on it alone", "server", m.opts.WebProxy.Redacted())
	return httpapi.WebAppFrom(m.opts.WebProxy)
}
