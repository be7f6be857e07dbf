// SPDX-License-Identifier: GPL-3.0-or-later

package tasklog

import "os"

// maxFolders is 0: an open folder could not be deleted here.
const maxFolders = 0

// maxLogs is 0: an open log could get no other name.
func maxLogs(string) int { return 0 }

func isDeleted(*os.File) bool { return true }
