// SPDX-License-Identifier: GPL-3.0-or-later

// Package farm is the vocabulary of Flamenco: jobs, tasks, workers, their statuses and the errors a user may see.
// It knows nothing of storage, transport or time, and imports the standard library only.
package farm
