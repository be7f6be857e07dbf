// SPDX-License-Identifier: GPL-3.0-or-later

// Package s3 tests what keeps files on S3 against a real S3 server, VersityGW, which checks signatures and conditions. It is
// a module of its own, so that no product depends on what that server needs.
package s3
