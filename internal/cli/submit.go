// SPDX-License-Identifier: GPL-3.0-or-later

package cli

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"flamenco.farm/pkg/api"
	"flamenco.farm/pkg/client"
)

type submitOptions struct {
	*globalOptions
	file     string
	name     string
	priority int
	tag      string
	paused   bool
	metadata []string
	wait     bool
}

func newSubmit(g *globalOptions) *cobra.Command {
	o := &submitOptions{globalOptions: g}
	cmd := &cobra.Command{
		Use:   "submit TYPE [KEY=VALUE …]",
		Short: "Submit a job",
		Long: `Submit a job of the given type. Its settings are given as KEY=VALUE, in a YAML
file (-f), or both; the command line wins. They get the types that the job type
declares, relative paths become absolute, defaults are filled in, and so is what
can be computed from other settings, such as the path of rendered frames.`,
		Example: `  flamenco submit echo-sleep-test message=hello --wait
  flamenco submit simple-blender-render blendfile=shot.blend frames=1-24 \
      scene=Scene format=PNG fps=24 render_output_root=/farm/renders --wait
  flamenco submit simple-blender-render -f render.yaml frames=7`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: o.complete,
		RunE:              func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), args[0], args[1:]) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&o.file, "file", "f", "", "read settings from this YAML file, - for the standard input")
	flags.StringVar(&o.name, "name", "", "name of the job (default: the blend file's, or the type)")
	flags.IntVar(&o.priority, "priority", 50, "priority from 0 to 100, higher first")
	flags.StringVar(&o.tag, "tag", "", "run only on workers with this tag, by name or id")
	flags.BoolVar(&o.paused, "paused", false, "submit the job without starting it")
	flags.StringArrayVar(&o.metadata, "metadata", nil, "add KEY=VALUE to the metadata; may be repeated")
	flags.BoolVar(&o.wait, "wait", false, "show progress and wait until the job ends")
	return cmd
}

func (o *submitOptions) run(ctx context.Context, typeName string, args []string) error {
	user, err := o.givenSettings(args)
	if err != nil {
		return err
	}
	c, err := o.connect(ctx)
	if err != nil {
		return err
	}
	job, err := o.submit(ctx, c, typeName, user)
	if client.StatusOf(err) == http.StatusPreconditionFailed {
		// The job type changed between the two calls: with its new settings everything may still fit.
		job, err = o.submit(ctx, c, typeName, user)
	}
	if err != nil {
		return err
	}
	if err := o.tell(c, job); err != nil || !o.wait {
		return err
	}
	return waitForJob(ctx, o.globalOptions, c, job.ID)
}

// givenSettings gathers the settings of the file and of the command line.
func (o *submitOptions) givenSettings(args []string) (map[string]given, error) {
	folder, err := os.Getwd()
	if err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	user := map[string]given{}
	if o.file != "" {
		if user, err = readSettings(o.file, o.streams.In); err != nil {
			return nil, err
		}
	}
	own, err := parseSettings(args, folder)
	if err != nil {
		return nil, err
	}
	maps.Copy(user, own)
	return user, nil
}

func (o *submitOptions) submit(ctx context.Context, c *client.Client, typeName string, user map[string]given) (api.Job, error) {
	jobType, err := findJobType(ctx, c, typeName)
	if err != nil {
		return api.Job{}, err
	}
	submission, err := o.submission(ctx, c, jobType, user)
	if err != nil {
		return api.Job{}, err
	}
	return c.SubmitJob(ctx, submission)
}

// findJobType fetches a job type, and names those that exist when it does not. A Manager that names the type says
// more: which ones there are, or what is wrong with its script.
func findJobType(ctx context.Context, c *client.Client, name string) (api.AvailableJobType, error) {
	jobType, err := c.JobType(ctx, name)
	if client.StatusOf(err) != http.StatusNotFound || strings.Contains(err.Error(), strconv.Quote(name)) {
		return jobType, err
	}
	types, listErr := c.JobTypes(ctx)
	if listErr != nil || len(types) == 0 {
		return jobType, err
	}
	var names []string
	for _, t := range types {
		names = append(names, t.Name)
	}
	return jobType, notFoundError{fmt.Sprintf("there is no job type %q; there is %s", name, strings.Join(names, ", "))}
}

func (o *submitOptions) submission(ctx context.Context, c *client.Client, jobType api.AvailableJobType, user map[string]given) (api.SubmittedJob, error) {
	job := api.SubmittedJob{
		Name: o.jobName(jobType.Name, user), Type: jobType.Name, TypeEtag: &jobType.Etag, Priority: o.priority,
		SubmitterPlatform: runtime.GOOS,
	}
	if o.priority < 0 || o.priority > 100 {
		return job, usagef("the priority is %d, must be from 0 to 100", o.priority)
	}
	settings, err := typedSettings(jobType, user, job.Name)
	if err != nil {
		return job, err
	}
	metadata, err := o.givenMetadata()
	if err != nil {
		return job, err
	}
	job.Settings = settings
	job.Metadata = metadata
	if o.paused {
		paused := api.JobStatus("paused")
		job.InitialStatus = &paused
	}
	if o.tag != "" {
		tag, err := resolveTag(ctx, c, o.tag)
		if err != nil {
			return job, err
		}
		job.WorkerTag = &tag
	}
	return job, nil
}

// jobName is what the user called the job, or the name of its blend file, or its type.
func (o *submitOptions) jobName(typeName string, user map[string]given) string {
	if o.name != "" {
		return o.name
	}
	if file, ok := user["blendfile"].value.(string); ok && file != "" {
		base := filepath.Base(filepath.ToSlash(file))
		return strings.TrimSuffix(base, filepath.Ext(base))
	}
	return typeName
}

func (o *submitOptions) givenMetadata() (map[string]string, error) {
	metadata := map[string]string{}
	for _, arg := range o.metadata {
		key, value, ok := strings.Cut(arg, "=")
		if !ok || key == "" {
			return nil, usagef("--metadata %q: write KEY=VALUE", arg)
		}
		metadata[key] = value
	}
	return metadata, nil
}

// tell says which job came of it.
func (o *submitOptions) tell(c *client.Client, job api.Job) error {
	if o.json {
		return printJSON(o.streams.Out, "job", job)
	}
	s := o.out()
	_, err := fmt.Fprintf(o.streams.Out, "Submitted %s as job %s\n%s\n", s.bold(job.Name), s.bold(job.ID), s.dim(webAddress(c, job.ID)))
	return err
}

func webAddress(c *client.Client, jobID string) string {
	return c.URL() + "/app/jobs/" + jobID
}

// complete offers job types, then the settings of the type chosen.
func (o *submitOptions) complete(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	ctx, cancel := completionContext(cmd)
	defer cancel()
	c, err := o.connect(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	if len(args) == 0 {
		types, err := c.JobTypes(ctx)
		return completions(types, err, func(t api.AvailableJobType) (string, string) { return t.Name, t.Label })
	}
	jobType, err := c.JobType(ctx, args[0])
	offered, _ := completions(jobType.Settings, err, func(s api.AvailableJobSetting) (string, string) { return s.Key + "=", describe(s) })
	return offered, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
}
