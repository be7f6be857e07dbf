// SPDX-License-Identifier: GPL-3.0-or-later

// Package volume owns what the system says about the file system of a folder. It must not read or write files.
package volume
