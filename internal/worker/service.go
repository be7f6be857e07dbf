// SPDX-License-Identifier: GPL-3.0-or-later

package worker

import "flamenco.farm/internal/service"

// Service is the Worker as a service of the operating system. It is hardly confined: it has to start whatever
// tasks name, render on the graphics card and write to shared storage. Code 1 is that of a Worker which was told to stop,
// so it is none of a failure; code 0 that of one which the Manager wants to stay away.
func Service() service.Program {
	return service.Program{
		Name: "flamenco-worker", Title: "Flamenco Worker", ConfigFile: ConfigFile,
		Args: []string{"-restart-exit-code", "47"},
		Unit: []string{
			"Restart=always", "RestartSec=10", "RestartPreventExitStatus=0", "RestartForceExitStatus=47", "SuccessExitStatus=1 47",
			"KillMode=mixed", "TimeoutStopSec=60", "Delegate=yes", "OOMPolicy=continue", "TasksMax=infinity", "LimitNOFILE=65536",
			"ProtectSystem=full",
		},
	}
}
