// SPDX-License-Identifier: GPL-3.0-or-later

package events

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// listenersArgument makes the test program be the clients of the benchmark, so that their work is not counted as the
// Manager's: __listeners URL JOB CLIENTS. It says "ready", listens until its input ends, and prints what it measured.
const listenersArgument = "__listeners"

// measured is what clients hear and how long it took, in milliseconds from the time that the change bears.
type measured struct {
	Tasks, Jobs          int
	Median, Worst        float64
	JobMedian, JobsWorst float64
}

func listenersMain(args []string) int {
	if err := listenAll(args[0], args[1], args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func listenAll(url, job, clients string) error {
	n, err := strconv.Atoi(clients)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	all := make([]heard, n)
	var listening sync.WaitGroup
	for i := range all {
		conn, err := subscribed(ctx, url, job)
		if err != nil {
			return err
		}
		listening.Go(func() { all[i].listen(ctx, conn) })
	}
	fmt.Println("ready")
	_, _ = os.Stdin.Read(make([]byte, 1)) // its end says that it is over
	cancel()
	listening.Wait()
	var sum heard
	for _, h := range all {
		sum.tasks, sum.jobs = append(sum.tasks, h.tasks...), append(sum.jobs, h.jobs...)
	}
	result := measured{Tasks: len(sum.tasks), Jobs: len(sum.jobs)}
	result.Median, result.Worst = spread(sum.tasks)
	result.JobMedian, result.JobsWorst = spread(sum.jobs)
	return json.NewEncoder(os.Stdout).Encode(result)
}

func subscribed(ctx context.Context, url, job string) (*websocket.Conn, error) {
	conn, _, err := websocket.Dial(ctx, url+"/socket.io/?EIO=3&transport=websocket", nil) //nolint:bodyclose // a websocket has none
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(-1)
	for _, subscription := range []string{
		`421["/subscription",{"op":"subscribe","type":"allJobs"}]`,
		`422["/subscription",{"op":"subscribe","type":"job","uuid":"` + job + `"}]`,
	} {
		if err := conn.Write(ctx, websocket.MessageText, []byte(subscription)); err != nil {
			return nil, err
		}
	}
	for {
		_, packet, err := conn.Read(ctx)
		if err != nil || string(packet) == `432["ok"]` {
			return conn, err
		}
	}
}

// heard is how long each event took, in milliseconds.
type heard struct{ tasks, jobs []float64 }

func (h *heard) listen(ctx context.Context, conn *websocket.Conn) {
	defer func() { _ = conn.CloseNow() }()
	for {
		_, packet, err := conn.Read(ctx)
		if err != nil {
			return
		}
		now := time.Now()
		text := string(packet)
		_, rest, ok := strings.Cut(text, `"updated":"`)
		stamp, _, _ := strings.Cut(rest, `"`)
		updated, err := time.Parse(time.RFC3339Nano, stamp)
		if !ok || err != nil {
			continue
		}
		took := float64(now.Sub(updated).Microseconds()) / 1000
		if strings.HasPrefix(text, `42["/task"`) {
			h.tasks = append(h.tasks, took)
		} else {
			h.jobs = append(h.jobs, took)
		}
	}
}

func spread(all []float64) (median, worst float64) {
	if len(all) == 0 {
		return 0, 0
	}
	slices.Sort(all)
	return all[len(all)/2], all[len(all)-1]
}
