// SPDX-License-Identifier: GPL-3.0-or-later

// Package manager owns the Manager as a whole: it builds all its parts, wires them to each other, runs them until it is
// told to stop, and understands the command line of flamenco-manager. It must not know how any part does its work.
package manager

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"

	"flamenco.farm/internal/auth"
	"flamenco.farm/internal/config"
	"flamenco.farm/internal/discover"
	"flamenco.farm/internal/event"
	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/jobtype"
	"flamenco.farm/internal/manager/httpapi"
	"flamenco.farm/internal/operation"
	"flamenco.farm/internal/preview"
	"flamenco.farm/internal/sched"
	"flamenco.farm/internal/shaman"
	"flamenco.farm/internal/store"
	"flamenco.farm/internal/tasklog"
	"flamenco.farm/internal/telemetry"
	"flamenco.farm/internal/version"
)

// Options is what a Manager is made of.
type Options struct {
	// Config is what the Manager is built from, unless there is Live.
	Config config.Config
	// Live is the configuration with its file, which may change; nil = Config, for good.
	Live *config.Live
	Log  *slog.Logger

	// ScriptsDir holds job types of the farm's own, "" = only the built-in ones.
	ScriptsDir string
	// Executable is the program that compiles jobs when started with __compile, shrinks pictures with __preview and runs an
	// operation with OperationArg; "" = the running one.
	Executable string
	// OnListen hears the address once requests are answered; nil = nobody wants to know.
	OnListen func(net.Addr)
	// Profiles is the address, of this machine alone, at which profiles of the Manager are served; "" = nowhere.
	Profiles string
	// WebProxy is the Vite server of who works on the web app; nil = the web app is the one baked in.
	WebProxy *url.URL
}

// Manager is a farm's Manager.
type Manager struct {
	opts    Options
	restart chan struct{} // something arrives when Run has to end with ErrRestart
}

// ErrRestart is what Run returns when the Manager has to be built anew, with the configuration as it is in its file.
var ErrRestart = errors.New("the Manager is to restart")

// New makes a Manager; it opens and starts nothing.
func New(opts Options) *Manager {
	if opts.Live == nil {
		opts.Live = config.Fixed(opts.Config)
	}
	opts.Config = opts.Live.Current()
	return &Manager{opts: opts, restart: make(chan struct{}, 1)}
}

// Run opens the database, answers requests until ctx ends, and closes everything in order. ErrRestart means that it ended
// to be built anew.
func (m *Manager) Run(ctx context.Context) (err error) {
	cfg := m.opts.Config
	kept, err := openPlaces(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, kept.close()) }()
	logs, err := kept.taskLogs(cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, logs.Close()) }()
	files, err := os.OpenRoot(cfg.LocalStorage)
	if err != nil {
		return fmt.Errorf("opening the local storage: %w", err)
	}
	defer func() { err = errors.Join(err, files.Close()) }()
	if err := makeSharedStorage(cfg.SharedStorage); err != nil {
		return err
	}
	var operations *operation.Service
	uploads, err := uploadsOf(cfg).open(m.opts.Log, kept.shared(), cfg.Shaman.Period, func(ctx context.Context) error {
		return collectByOperation(ctx, operations)
	})
	if err != nil {
		return err
	}
	jobsFolder := cfg.SharedStorage
	if uploads != nil {
		jobsFolder = shaman.JobsFolder(cfg.SharedStorage)
	}
	bus, measures, life := &event.Bus{}, newMetrics(), newLife()
	others := newRelay(bus, logs, m.opts.Log)
	db, err := store.Open(ctx, store.Options{
		Database: cfg.Database, Durability: store.Durability(cfg.Durability), Log: m.opts.Log, OnCommit: bus.Publish,
		OnRemote: others.hear, Wanted: bus.Wanted, Observe: measures.commit,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()

	keeper := newKeeper(db, bus, m.opts.Log)
	if err := keeper.Register(ctx); err != nil {
		return fmt.Errorf("registering with the farm: %w", err)
	}
	defer func() { err = errors.Join(err, keeper.Leave(context.WithoutCancel(ctx))) }()

	types, err := jobtype.New(jobtype.Options{
		ScriptsDir: m.opts.ScriptsDir, Executable: m.opts.Executable, Log: m.opts.Log,
		TimeLimit: cfg.JobCompiler.TimeLimit, MemoryLimit: int64(cfg.JobCompiler.MemoryLimit), MaxTasks: cfg.JobCompiler.MaxTasks,
		Observe: measures.compilation,
	})
	if err != nil {
		return err
	}
	zone, err := cfg.Zone()
	if err != nil {
		return err
	}
	scheduler := sched.New(db, sched.Options{
		TaskLog: logs, Bus: bus, Log: m.opts.Log, WorkerTimeout: cfg.WorkerTimeout, TaskTimeout: cfg.TaskTimeout, TimeoutGrace: cfg.TimeoutGrace,
		RequestHold: cfg.TaskRequestHold, BlocklistThreshold: cfg.BlocklistThreshold, SoftFailLimit: cfg.TaskFailAfterSoftFails,
		TimeZone: zone, Enter: keeper.Enter,
	})
	jobs := bus.Subscribe(func(c farm.Change) bool { return c.Kind == farm.ChangeJob || c.Kind == farm.ChangeMaintenance })
	defer jobs.Close()
	packer := tasklog.NewPacker(logs, tasklog.PackerOptions{Jobs: db, Changed: jobs.C, Retention: cfg.TaskLogs.Retention, Enter: keeper.Enter, Log: m.opts.Log})
	events := newEvents(cfg, keeper.ID(), bus, db, logs, m.opts.Log)
	workers, err := auth.NewWorkers(scheduler)
	if err != nil {
		return err
	}
	var description []byte
	if cfg.Autodiscoverable {
		if description, err = discover.Description(cfg.ManagerName, version.Version); err != nil {
			return err
		}
	}
	operations, closeLogs, err := newOperations(cfg, m.opts.Executable, db, bus, keeper, "", m.opts.Log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeLogs()) }()
	admin, publishToken, err := adminToken(files, store.IsPostgres(cfg.Database))
	if err != nil {
		return err
	}
	start := func(ctx context.Context, kind string, params any, who string) error {
		_, err := startOperation(ctx, operations, kind, params, who)
		return err
	}
	imports := farmImports{db: db, local: files, folder: cfg.LocalStorage, start: func(ctx context.Context, kind string, params any, who string) (farm.Operation, error) {
		return startOperation(ctx, operations, kind, params, who)
	}}
	previews := preview.New(preview.Options{Log: m.opts.Log, Store: db, Files: kept.files(), Folder: tasklog.Folder, Executable: m.opts.Executable, OnStored: events.lastRendered})
	others.previews = previews
	defer context.AfterFunc(life.stopping, keeper.Drains)()
	handler, err := httpapi.New(httpapi.Options{
		Log: m.opts.Log, Config: m.opts.Live, Setup: m.setupAssistant(), Store: db, Sched: scheduler, JobTypes: types,
		Variables: m.follow(scheduler, jobsFolder), TaskLogs: logs, Previews: previews, Workers: workers, Files: files, Blobs: kept.shared(), Shaman: uploads,
		Description: description,
		Operations:  operations, Maintenance: keeper, Admin: admin,
		ExportFarm: func(ctx context.Context, to io.Writer) error {
			_, err := exportFarm(ctx, db, to, func(int64) {})
			return err
		},
		ImportFarm: imports.Import,
		WebApp:     m.webApp(), FarmStatus: events.status.Report, Events: events.socketio, Origins: trustedOrigins(cfg.Listen),
		Deletion: deletion{retire: scheduler.MarkForDeletion, retires: scheduler.MarkManyForDeletion, start: start},
		Checks:   checks(db, files), Metrics: measures.Handler(m.opts.Log), Observe: measures.request,
	})
	if err != nil {
		return err
	}
	measures.read(measured{
		counts: &countsCache{count: db.Counts, log: m.opts.Log}, db: db, sched: scheduler, bus: bus, socketio: events.socketio,
		mqtt: events.mqttStats, stopping: life.isStopping,
	})
	clean := retention{store: db, keep: cfg.Retention.Jobs, start: start, enter: keeper.Enter, log: m.opts.Log}
	care := &databaseCare{
		db: db, period: cfg.DatabaseCheckPeriod, log: m.opts.Log,
		suspend: func(reason string) { scheduler.Suspend(reason); events.status.SetInoperative(reason) },
		resume:  func() { scheduler.Resume(); events.status.SetInoperative("") },
	}
	parts := []func(context.Context) error{
		keeper.Run, scheduler.Run, types.Run, previews.Run, operations.Run, clean.run, packer.Run, db.Run, others.run, m.untilRestart, m.sweep(kept),
		importSweep{db: db, local: files, log: m.opts.Log}.run, afterImport(bus, workers.ForgetAll, scheduler.LookAgain),
	}
	if uploads != nil {
		parts = append(parts, uploads.Run)
	}
	if !store.IsPostgres(cfg.Database) { // which cares for itself
		parts = append(parts, care.Run)
	}
	if m.opts.Profiles != "" {
		parts = append(parts, func(ctx context.Context) error {
			return telemetry.ServeProfiles(ctx, m.opts.Profiles, m.opts.Log)
		})
	}
	started := func(address net.Addr) error {
		keeper.Listens(addresses(address))
		return publishToken()
	}
	return m.runParts(ctx, life, measures.counted(handler), events, started, parts...)
}

// makeSharedStorage makes the folder when only its last part is missing: a mistyped path should not grow a tree.
func makeSharedStorage(path string) error {
	if path == "" {
		return nil
	}
	if err := os.Mkdir(path, 0o777); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("shared_storage_path: %w", err)
	}
	return nil
}

// announce tells people and scripts where the Manager is.
func (m *Manager) announce(addr net.Addr) {
	for _, url := range addresses(addr) {
		m.opts.Log.Info("listening", "url", url)
	}
	switch {
	case m.opts.Config.SharedStorage == "":
		m.opts.Log.Warn("no shared_storage_path is configured: jobs can use only paths that every Worker has")
	case m.opts.Config.FirstRun:
		m.opts.Log.Info("the setup assistant may be used")
	}
	if m.opts.OnListen != nil {
		m.opts.OnListen(addr)
	}
}

// unlessStopped is err, unless it only says that ctx has ended.
func unlessStopped(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
