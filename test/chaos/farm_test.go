// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package chaos

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"flamenco.farm/internal/store"
	"flamenco.farm/internal/testkit/fault"
	"flamenco.farm/internal/testkit/history"
	"flamenco.farm/internal/testkit/loopback"
	"flamenco.farm/internal/testkit/postgres"
	"flamenco.farm/pkg/api"
	"flamenco.farm/pkg/client"
)

const (
	lease = 3 * time.Second // worker_timeout
	// silenceOver is after how much silence a task is surely given to somebody else: the lease, the margin and some more.
	silenceOver = lease + lease/4 + 250*time.Millisecond
	// patience is how long a test waits for what should happen soon on a computer that has nothing else to do.
	patience = 5 * time.Minute
)

// The real Workers note begin and end of each task in one file; the simulated ones only pretend to run it. Some tasks last for
// longer than a lease.
const script = `
const JOB_TYPE = { label: "Chaos", settings: [
  { key: "count", type: "int32", required: true },
  { key: "file", type: "string", required: true },
] };
function compileJob(job) {
  const note = (what) => 'echo "$0 $FLAMENCO_ASSIGNMENT ' + what + ' $(date +%s%N)" >> "$1"; ';
  for (let i = 1; i <= job.settings.count; i++) {
    const task = author.Task("task-" + i, i % 2 ? "misc" : "blender");
    task.addCommand(author.Command("exec", { exe: "sh", args: ["-c",
      note("begin") + "sleep " + (i % 5 ? "0.2" : "8") + "; " + note("end"), task.name, job.settings.file] }));
    job.addTask(task);
  }
}
`

// site is the Managers of a farm with their database, all as real processes, and the bad networks between them and the
// Workers.
type site struct {
	t        *testing.T
	seed     uint64
	dice     *dice
	record   *record
	bin, dir string
	database string           // as this test reaches it
	server   *postgres.Server // nil on SQLite
	managers []*program
	reach    []string // the Managers' own addresses
	networks []*fault.Proxy
	front    func(address string) string // what stands before a Manager, nil = nothing
}

// newSite starts so many Managers; more than one share a PostgreSQL server.
func newSite(t *testing.T, seed uint64, managers int, server *postgres.Server) *site {
	t.Helper()
	s := &site{t: t, seed: seed, dice: newDice(seed, 0), record: newRecord(), bin: t.TempDir(), dir: t.TempDir(), server: server}
	s.installPrograms()
	s.database = filepath.Join(s.dir, "farm.sqlite")
	if server != nil {
		s.database = server.Database(t)
	}
	for i := range managers {
		s.addManager(i)
	}
	for _, p := range s.managers { // one after the other: the first makes the tables
		p.start()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		if !p.awaitSaid(ctx, "listening") {
			t.Fatalf("%s does not start", p.name)
		}
		cancel()
	}
	return s
}

// installPrograms puts this program, which is Manager and Worker too, beside a folder of job types.
func (s *site) installPrograms() {
	s.t.Helper()
	self, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	from, err := os.Open(self)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = from.Close() }()
	to, err := os.OpenFile(s.program(), os.O_CREATE|os.O_WRONLY, 0o700)
	if err != nil {
		s.t.Fatal(err)
	}
	_, err = io.Copy(to, from)
	if closed := to.Close(); err != nil || closed != nil {
		s.t.Fatal(err, closed)
	}
	s.write(filepath.Join(s.bin, "scripts", "test.js"), script)
}

func (s *site) program() string { return filepath.Join(s.bin, "flamenco") }

func (s *site) write(path, text string) {
	s.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// addManager prepares a Manager, which reaches its server over a network of its own that is bad at times.
func (s *site) addManager(i int) {
	s.t.Helper()
	database := s.database
	if s.server != nil {
		n := s.network(s.server.Addr(), fault.Plan{
			Cut: 20, Silent: 5, Silence: 2 * time.Second, Bytes: 1 << 20, Delay: 2 * time.Millisecond,
		})
		database = fmt.Sprintf("postgres://flamenco@%s/%s?sslmode=disable", n.Address(), filepath.Base(mustPath(s.t, s.database)))
	}
	p := newProgram(s.t, fmt.Sprint("manager-", i+1), s.program(), managerArg, filepath.Join(s.dir, fmt.Sprint("manager-", i+1)))
	address := loopback.FreeAddress(s.t)
	s.write(filepath.Join(p.dir, "flamenco-manager.yaml"), fmt.Sprintf("_meta: {version: 3}\nlisten: %q\ndatabase: %q\n"+
		"local_manager_storage_path: %q\nshared_storage_path: %q\nworker_timeout: %v\ntimeout_grace: 0s\ntask_request_hold: 5s\n"+
		"task_fail_after_softfail_count: 100000\nblocklist_threshold: 100000\n"+
		"autodiscoverable: false\nshaman: {enabled: false}\njob_compiler: {time_limit: 2m}\n",
		address, database, filepath.Join(s.dir, "local"), filepath.Join(s.dir, "shared"), lease))
	s.managers, s.reach = append(s.managers, p), append(s.reach, address)
}

func (s *site) network(target string, plan fault.Plan) *fault.Proxy {
	s.t.Helper()
	plan.Seed = s.seed + uint64(len(s.networks))
	n := fault.New(s.t, target, plan)
	s.networks = append(s.networks, n)
	return n
}

// line is a way to all Managers, bad in its own fashion.
func (s *site) line(stream uint64) *line {
	s.t.Helper()
	l := &line{dice: newDice(s.seed, stream), record: s.record}
	late := []time.Duration{2 * time.Millisecond, 20 * time.Millisecond, 150 * time.Millisecond}[l.dice.below(3)]
	for _, address := range s.reach {
		if s.front != nil {
			address = s.front(address)
		}
		n := s.network(address, fault.Plan{Cut: 80, Silent: 10, Silence: 2 * lease, Bytes: 30 << 10, Delay: late})
		l.managers = append(l.managers, "http://"+n.Address())
	}
	l.at = l.dice.below(len(l.managers))
	return l
}

// client talks to the first Manager without a bad network between.
func (s *site) client() *client.Client {
	s.t.Helper()
	c, err := client.New("http://"+s.reach[0], client.WithPatience(patience))
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

func (s *site) submit(ctx context.Context, c *client.Client, count int) error {
	_, err := c.SubmitJob(ctx, api.SubmittedJob{
		Name: "chaos", Type: "test", Priority: 50, SubmitterPlatform: "linux",
		Settings: api.JobSettings{"count": count, "file": s.tally()},
	})
	return err
}

// tally is the file in which real Workers note what they run.
func (s *site) tally() string { return filepath.Join(s.dir, "tally") }

// torment kills a program, in so many percent of the cases, or makes it stand still for longer than a lease, again and again; it
// leaves it running.
func (s *site) torment(ctx context.Context, p *program, d *dice, kills int, longest time.Duration) {
	for pause(ctx, d.between(longest/4, longest)) == nil {
		if d.chance(kills) {
			p.kill()
			s.record.count(&s.record.kills)
			_ = pause(ctx, d.between(0, 2*time.Second)) // its end is seen above
			p.start()
			continue
		}
		p.signal(syscall.SIGSTOP)
		_ = pause(ctx, d.between(silenceOver, 2*silenceOver))
		p.signal(syscall.SIGCONT)
		s.record.count(&s.record.stops)
	}
}

// keepUp starts a program again that ended by itself, as a service is. Only a Manager that could not even start may do that,
// because its database was away.
func (s *site) keepUp(ctx context.Context, p *program) {
	for pause(ctx, 200*time.Millisecond) == nil {
		one := p.present()
		select {
		case <-one.ended:
		case <-ctx.Done():
			return
		}
		if one.ours.Load() {
			continue // whoever did that starts it again
		}
		if s.server == nil || p.arg != managerArg || p.said("listening") {
			s.record.complain("%s ended by itself", p.name)
		}
		p.start()
	}
}

// restartDatabase stops PostgreSQL in the middle and starts it again, once orderly and once as in a crash.
func (s *site) restartDatabase(ctx context.Context, d *dice, after time.Duration) {
	for _, end := range []func() error{s.server.Stop, s.server.Kill} {
		if pause(ctx, after) != nil {
			return
		}
		if err := end(); err != nil {
			s.t.Error(err)
		}
		_ = pause(ctx, d.between(0, silenceOver))
		if err := s.server.Start(); err != nil {
			s.t.Error(err)
			return
		}
		s.record.count(&s.record.restarts)
	}
}

// heal ends all bad networks.
func (s *site) heal() {
	for _, n := range s.networks {
		n.Heal()
	}
}

func (s *site) hurt() (n int) {
	for _, p := range s.networks {
		n += p.Hurt()
	}
	return n
}

// end ends the Managers orderly and reads what they wrote down of all jobs.
func (s *site) end() (tasks []history.Task) {
	s.t.Helper()
	var all sync.WaitGroup
	for _, p := range s.managers {
		all.Go(p.end)
	}
	all.Wait()
	st, err := store.Open(s.t.Context(), store.Options{Database: s.database, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	jobs, _, err := st.Jobs(s.t.Context(), store.JobList{})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, j := range jobs {
		more, err := history.Load(s.t.Context(), st, j.ID)
		if err != nil {
			s.t.Fatal(err)
		}
		tasks = append(tasks, more...)
	}
	return tasks
}
