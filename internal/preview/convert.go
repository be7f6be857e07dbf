// SPDX-License-Identifier: GPL-3.0-or-later

package preview

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"time"

	"flamenco.farm/internal/picture"
)

// ConvertArg is the argument that makes the Manager's program ChildMain.
const ConvertArg = "__preview"

// decodeMemory is what a child process may take to decode a picture, in bytes: enough for picture.MaxPixels of 16 bits.
const decodeMemory = 8 * picture.MaxPixels

// maxMade is the most that one size may be long, in bytes; no JPEG of 1920 × 1080 comes near.
const maxMade = 16 << 20

// maxComplaint is the most that is kept of what a child process says.
const maxComplaint = 4 << 10

// errUndecodable is the error of a picture that the child process could not make anything of.
var errUndecodable = errors.New("the picture cannot be decoded")

// convert makes the sizes in a child process, which a time limit can end and which takes its memory with it.
func (s *Service) convert(ctx context.Context, data []byte) ([][]byte, error) {
	executable := s.Executable
	if executable == "" {
		own, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("finding the program itself: %w", err)
		}
		executable = own
	}
	ctx, cancel := context.WithTimeout(ctx, s.TimeLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, executable, ConvertArg, s.TimeLimit.String())
	cmd.Env = []string{} // nil would be the Manager's own, with its secrets
	cmd.WaitDelay = time.Second
	isolate(cmd)
	made, complaint := &limited{room: maxMade * len(sizes())}, &limited{room: maxComplaint}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(data), made, complaint
	var exit *exec.ExitError
	switch err := cmd.Run(); {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%w within %s: %w", errUndecodable, s.TimeLimit, ctx.Err())
	case errors.As(err, &exit):
		said, _, _ := strings.Cut(complaint.text.String(), "\n")
		return nil, fmt.Errorf("%w: %s (%w)", errUndecodable, said, err)
	case err != nil:
		return nil, fmt.Errorf("starting the process that decodes pictures: %w", err)
	}
	return split(made.text.Bytes())
}

// limited keeps the beginning of what is written to it.
type limited struct {
	text bytes.Buffer
	room int
}

func (l *limited) Write(p []byte) (int, error) {
	l.text.Write(p[:min(len(p), max(0, l.room-l.text.Len()))])
	return len(p), nil
}

// ChildMain is the child process: it reads a picture from stdin, writes its sizes to stdout, each behind its length, and
// returns its exit code. The Manager's main calls it, before anything else, when its first argument is ConvertArg; args
// are those behind.
func ChildMain(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if err := child(args, stdin, stdout); err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	return 0
}

func child(args []string, stdin io.Reader, stdout io.Writer) error {
	limit := time.Minute
	if len(args) > 0 {
		var err error
		if limit, err = time.ParseDuration(args[0]); err != nil {
			return fmt.Errorf("the time limit: %w", err)
		}
	}
	// The Manager, which may be gone, is not relied on.
	defer time.AfterFunc(limit, func() { os.Exit(1) }).Stop()
	if err := restrict(limit); err != nil {
		return fmt.Errorf("limiting the process: %w", err)
	}
	debug.SetMemoryLimit(decodeMemory + 256<<20) // collect rather than grow beyond what is needed
	data, err := io.ReadAll(io.LimitReader(stdin, MaxSize))
	if err != nil {
		return fmt.Errorf("reading the picture: %w", err)
	}
	made, err := makeSizes(context.Background(), data)
	if err != nil {
		return err
	}
	var all []byte
	for _, one := range made {
		all = append(binary.BigEndian.AppendUint32(all, uint32(len(one))), one...)
	}
	_, err = stdout.Write(all)
	return err
}

// split takes apart what the child process wrote.
func split(all []byte) ([][]byte, error) {
	var made [][]byte
	for range sizes() {
		if len(all) < 4 {
			break
		}
		length := int(binary.BigEndian.Uint32(all))
		if all = all[4:]; length > len(all) {
			break
		}
		made, all = append(made, all[:length]), all[length:]
	}
	if len(made) != len(sizes()) || len(all) != 0 {
		return nil, errors.New("the process that decodes pictures answered nonsense")
	}
	return made, nil
}
