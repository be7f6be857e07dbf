// SPDX-License-Identifier: GPL-3.0-or-later

package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"flamenco.farm/pkg/api"
	"flamenco.farm/pkg/client"
)

// askEvery is how often it is looked whether all Managers keep the mode: they take up to a second.
const askEvery = 500 * time.Millisecond

type maintenanceOptions struct {
	reason    string
	wait      bool
	tokenFile string
}

func newMaintenance(g *globalOptions) *cobra.Command {
	o := &maintenanceOptions{}
	on := &cobra.Command{
		Use:   "on",
		Short: "Begin a maintenance of the farm",
		Long: `Begins a maintenance of the farm, or gives it another reason. Workers go on with
the tasks that they have and report them; nothing new is handed out, and what
would change the farm is refused with the reason.`,
		Example: `  flamenco maintenance on --reason "a new disk" --wait`,
		RunE:    func(cmd *cobra.Command, _ []string) error { return setMaintenance(cmd.Context(), g, o, true) },
	}
	on.Flags().StringVar(&o.reason, "reason", "", "why, for everybody to read")
	off := &cobra.Command{
		Use: "off", Short: "End the maintenance of the farm",
		RunE: func(cmd *cobra.Command, _ []string) error { return setMaintenance(cmd.Context(), g, o, false) },
	}
	for _, cmd := range []*cobra.Command{on, off} {
		cmd.Flags().BoolVar(&o.wait, "wait", false, "end once every Manager keeps to it")
		cmd.Flags().StringVar(&o.tokenFile, "token-file", "", "a copy of admin.token of the Manager's local storage; else FLAMENCO_ADMIN_TOKEN holds the token")
	}
	status := &cobra.Command{
		Use: "status", Short: "Say whether the farm is in maintenance, and since when",
		RunE: func(cmd *cobra.Command, _ []string) error { return showMaintenance(cmd.Context(), g) },
	}
	for _, cmd := range []*cobra.Command{on, off, status} {
		cmd.Args, cmd.ValidArgsFunction = cobra.NoArgs, cobra.NoFileCompletions
	}
	return group("maintenance", "Close the farm for work, and open it again", on, off, status)
}

// adminToken is what commands need that only those may give who run the Manager.
func (g *globalOptions) adminToken(file string) (string, error) {
	token := g.getenv("FLAMENCO_ADMIN_TOKEN")
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", usagef("read the admin token: %w", err)
		}
		token = string(text)
	}
	if token = strings.TrimSpace(token); token == "" {
		return "", usagef("this takes the admin token of the Manager: name the file admin.token of its local storage, or a copy, with --token-file, or put what is in it into FLAMENCO_ADMIN_TOKEN")
	}
	return token, nil
}

func setMaintenance(ctx context.Context, g *globalOptions, o *maintenanceOptions, on bool) error {
	token, err := g.adminToken(o.tokenFile)
	if err != nil {
		return err
	}
	c, err := g.connect(ctx)
	if err != nil {
		return err
	}
	now, err := c.SetMaintenance(ctx, token, on, o.reason)
	if err == nil && o.wait {
		now, err = g.untilKept(ctx, c, now)
	}
	if err != nil {
		return err
	}
	return g.printMaintenance(now)
}

// untilKept waits until every Manager keeps the mode, and says meanwhile which do not. That somebody else changes it again
// is an error.
func (g *globalOptions) untilKept(ctx context.Context, c *client.Client, now api.Maintenance) (api.Maintenance, error) {
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	wanted, said := now.Epoch, ""
	for !now.Kept {
		if names := strings.Join(behind(now), ", "); names != said && !g.json {
			said = names
			fmt.Fprintln(g.streams.Err, newStyle(g.streams.Err, g.getenv).dim("Waiting for "+names))
		}
		select {
		case <-ctx.Done():
			return now, ctx.Err()
		case <-tick.C:
		}
		var err error
		if now, err = c.Maintenance(ctx); err != nil {
			return now, err
		}
		if now.Epoch != wanted {
			return now, errors.New("somebody else has changed the maintenance mode meanwhile")
		}
	}
	return now, nil
}

// behind names the Managers that do not keep the mode yet.
func behind(m api.Maintenance) []string {
	var names []string
	for _, manager := range m.Managers {
		if manager.State != api.ManagerStatusGone && manager.Epoch < m.Epoch {
			names = append(names, fmt.Sprintf("%s (%d)", manager.Name, manager.Pid))
		}
	}
	return names
}

func showMaintenance(ctx context.Context, g *globalOptions) error {
	c, err := g.connect(ctx)
	if err != nil {
		return err
	}
	now, err := c.Maintenance(ctx)
	if err != nil {
		return err
	}
	return g.printMaintenance(now)
}

func (g *globalOptions) printMaintenance(m api.Maintenance) error {
	if g.json {
		return printJSON(g.streams.Out, "maintenance", m)
	}
	s := g.out()
	state := "off"
	if m.On {
		state = s.status("paused", "on")
	}
	fields := []field{{"Maintenance", state}}
	if m.Reason != nil {
		fields = append(fields, field{"Reason", *m.Reason})
	}
	if m.Since != nil {
		fields = append(fields, field{"Since", seen(time.Now(), m.Since)})
	}
	if names := behind(m); len(names) > 0 {
		fields = append(fields, field{"Not yet at", strings.Join(names, ", ")})
	}
	return writeFields(g.streams.Out, s, fields)
}

func newManagers(g *globalOptions) *cobra.Command {
	return &cobra.Command{
		Use:               "managers",
		Short:             "List the Managers of the farm",
		Long:              "Lists the Managers of the farm, by the name of their machine. Those that are gone are listed for a day.",
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return listManagers(cmd.Context(), g) },
	}
}

func listManagers(ctx context.Context, g *globalOptions) error {
	c, err := g.connect(ctx)
	if err != nil {
		return err
	}
	m, err := c.Maintenance(ctx)
	if err != nil {
		return err
	}
	if g.json {
		for _, manager := range m.Managers {
			if err := printJSON(g.streams.Out, "manager", manager); err != nil {
				return err
			}
		}
		return nil
	}
	s, now := g.out(), time.Now()
	columns := []column{
		{title: "ID"},
		{title: "NAME", flexible: true},
		{title: "PROCESS"},
		{title: "STATE", paint: func(text, shown string) string { return s.status(managerColour[text], shown) }},
		{title: "VERSION"},
		{title: "LAST SEEN"},
		{title: "MAINTENANCE"},
		{title: "ADDRESS", flexible: true},
	}
	rows := make([][]string, len(m.Managers))
	for i, manager := range m.Managers {
		rows[i] = []string{
			short(manager.ID), manager.Name, fmt.Sprint(manager.Pid), string(manager.State), manager.Version, seen(now, &manager.Seen),
			keeps(m, manager), firstOf(manager.Urls),
		}
	}
	return writeTable(g.streams.Out, s, columns, rows)
}

// managerColour is the status of something else that looks like that of a Manager.
var managerColour = map[string]string{"running": "awake", "starting": "starting", "draining": "asleep", "gone": "offline"}

// keeps says whether a Manager goes by the maintenance mode.
func keeps(m api.Maintenance, manager api.ManagerState) string {
	switch {
	case manager.State == api.ManagerStatusGone:
		return ""
	case manager.Epoch < m.Epoch:
		return "not yet"
	case m.On:
		return "on"
	}
	return "off"
}

// firstOf is the address that others most likely reach.
func firstOf(urls []string) string {
	if i := slices.IndexFunc(urls, func(u string) bool { return !strings.Contains(u, "localhost") && !strings.Contains(u, "[") }); i >= 0 {
		return urls[i]
	}
	if len(urls) > 0 {
		return urls[0]
	}
	return ""
}
