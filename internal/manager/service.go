// SPDX-License-Identifier: GPL-3.0-or-later

package manager

import (
	"flamenco.farm/internal/config"
	"flamenco.farm/internal/service"
)

// Service is the Manager as a service of the operating system. It needs the network and its folders, nothing else.
func Service() service.Program {
	return service.Program{
		Name: "flamenco-manager", Title: "Flamenco Manager", ConfigFile: config.FileName,
		Unit: []string{
			"Restart=on-failure", "RestartSec=5", "KillMode=mixed", "TimeoutStopSec=60", "LimitNOFILE=65536",
			"NoNewPrivileges=yes", "ProtectSystem=full", "ProtectKernelTunables=yes", "ProtectKernelModules=yes",
			"ProtectControlGroups=yes", "PrivateDevices=yes", "RestrictSUIDSGID=yes", "RestrictRealtime=yes", "LockPersonality=yes",
			"RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
		},
	}
}
