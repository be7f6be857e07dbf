// SPDX-License-Identifier: GPL-3.0-or-later

package api

//go:generate go tool -modfile=../../tools/tools.mod oapi-codegen -config types.cfg.yaml flamenco-openapi.yaml
//go:generate go tool -modfile=../../tools/tools.mod oapi-codegen -config server.cfg.yaml flamenco-openapi.yaml
//go:generate go tool -modfile=../../tools/tools.mod oapi-codegen -config client.cfg.yaml flamenco-openapi.yaml
