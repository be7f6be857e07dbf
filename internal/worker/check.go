// SPDX-License-Identifier: GPL-3.0-or-later

package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// defaultCheckLimit is how long a path may take to answer before it counts as not there: network file systems hang
// rather than fail.
const defaultCheckLimit = 10 * time.Second

// checkAge is how long good news is believed, so that short tasks do not wait for a file server each time.
const checkAge = 5 * time.Second

// Checks are what must be so before a task is asked for.
type Checks struct {
	Readable []string      // files and folders
	Writable []string      // the same; in a folder a file is made and removed
	Limit    time.Duration // for each; 0 = 10 s
}

// checker carries the checks out. A path that hangs is left to hang in a goroutine of its own, and is not tried again
// before that has ended: however long a file server is away, there is one for each path.
type checker struct {
	checks Checks
	passed time.Time

	mu      sync.Mutex
	hanging map[probe]chan error
}

// probe is one thing to try.
type probe struct {
	write bool
	path  string
}

func newChecker(c Checks) *checker {
	if c.Limit <= 0 {
		c.Limit = defaultCheckLimit
	}
	return &checker{checks: c, hanging: map[probe]chan error{}}
}

// check makes sure that tasks can do their work here. Its error says for people why not.
func (c *checker) check(ctx context.Context) error {
	if time.Since(c.passed) < checkAge {
		return nil
	}
	var probes []probe
	for _, path := range c.checks.Readable {
		probes = append(probes, probe{path: path})
	}
	for _, path := range c.checks.Writable {
		probes = append(probes, probe{write: true, path: path})
	}
	ctx, cancel := context.WithTimeout(ctx, c.checks.Limit)
	defer cancel()
	failures := make([]error, len(probes))
	var all sync.WaitGroup
	for i, p := range probes {
		all.Go(func() { failures[i] = c.await(ctx, p) })
	}
	all.Wait()
	err := errors.Join(failures...)
	if err == nil {
		c.passed = time.Now()
	}
	return err
}

// await begins a probe unless it still hangs from the last time, and waits for its end.
func (c *checker) await(ctx context.Context, p probe) error {
	c.mu.Lock()
	result, running := c.hanging[p]
	if !running {
		result = make(chan error, 1)
		c.hanging[p] = result
		go func() { result <- p.try() }()
	}
	c.mu.Unlock()
	select {
	case err := <-result:
		c.mu.Lock()
		delete(c.hanging, p)
		c.mu.Unlock()
		return err
	case <-ctx.Done():
		return fmt.Errorf("%s: no answer within %v", p, c.checks.Limit)
	}
}

func (p probe) String() string {
	if p.write {
		return "cannot write to " + p.path
	}
	return "cannot read " + p.path
}

func (p probe) try() error {
	var err error
	switch info, statErr := os.Stat(p.path); {
	case statErr != nil:
		err = statErr
	case p.write && info.IsDir():
		err = makeFile(p.path)
	case p.write:
		err = open(p.path, os.O_WRONLY, func(*os.File) error { return nil })
	case info.IsDir():
		err = open(p.path, os.O_RDONLY, func(f *os.File) error {
			_, err := f.Readdirnames(1)
			return err
		})
	default:
		err = open(p.path, os.O_RDONLY, func(f *os.File) error {
			_, err := f.Read(make([]byte, 1))
			return err
		})
	}
	if err == nil {
		return nil
	}
	var path *os.PathError
	if errors.As(err, &path) {
		err = path.Err // the path is named before
	}
	return fmt.Errorf("%s: %w", p, err)
}

// open opens a file and does something with it; the end of the file is no error.
func open(path string, how int, do func(*os.File) error) error {
	file, err := os.OpenFile(path, how, 0)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	if err := do(file); !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// makeFile makes a file in a folder, with something in it, because a full disk takes empty ones.
func makeFile(folder string) error {
	file, err := os.CreateTemp(folder, ".flamenco-worker-check-*")
	if err != nil {
		return err
	}
	_, err = file.WriteString("?")
	return errors.Join(err, file.Close(), os.Remove(file.Name()))
}
