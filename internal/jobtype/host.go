// SPDX-License-Identifier: GPL-3.0-or-later

package jobtype

import (
	"errors"
	"math"
	"time"

	"github.com/kballard/go-shellquote"
	"modernc.org/quickjs"
)

// hostFuncs are what the prelude calls in Go. None of them reads anything but its arguments.
func (e *engine) hostFuncs() map[string]quickjs.HostFunc {
	return map[string]quickjs.HostFunc{
		"log": func(args []any) (any, error) {
			e.sink.log(stringArg(args, 0), stringArg(args, 1))
			return nil, nil
		},
		"thrown": func(args []any) (any, error) {
			e.thrownAt = stringArg(args, 0)
			return nil, nil
		},
		"resolve": func(args []any) (any, error) { return e.resolve(stringArg(args, 0)), nil },
		"load":    answering(func(args []any) (any, error) { return nil, e.load(stringArg(args, 0)) }),
		"emit":    answering(func(args []any) (any, error) { return nil, e.sink.tasks(stringArg(args, 0)) }),
		"frameChunks": answering(func(args []any) (any, error) {
			frames, err := parseFrames(stringArg(args, 0))
			if err != nil {
				return nil, err
			}
			return frames.chunks(intArg(args, 1))
		}),
		"frameCount": answering(func(args []any) (any, error) {
			frames, err := parseFrames(stringArg(args, 0))
			return frames.count(), err
		}),
		"formatTime": answering(func(args []any) (any, error) {
			return time.UnixMilli(int64(floatArg(args, 0))).Format("2006-01-02_150405"), nil
		}),
		"shellSplit": answering(func(args []any) (any, error) {
			words, err := shellquote.Split(stringArg(args, 0))
			if words == nil {
				words = []string{}
			}
			return words, err
		}),
		"pathBase": answering(func(args []any) (any, error) { return pathBase(stringArg(args, 0)), nil }),
		"pathDir":  answering(func(args []any) (any, error) { return pathDir(stringArg(args, 0)), nil }),
		"pathStem": answering(func(args []any) (any, error) { return pathStem(stringArg(args, 0)), nil }),
		"pathJoin": answering(func(args []any) (any, error) {
			parts := make([]string, len(args))
			for i := range args {
				parts[i] = stringArg(args, i)
			}
			return pathJoin(parts), nil
		}),
	}
}

// answering turns (value, error) into what the prelude's call() expects.
func answering(fn quickjs.HostFunc) quickjs.HostFunc {
	return func(args []any) (any, error) {
		value, err := fn(args)
		var thrown *quickjs.Error
		if errors.As(err, &thrown) && thrown.Error() == "" {
			return map[string]any{"error": "out of memory"}, nil
		}
		if err != nil {
			return map[string]any{"error": err.Error()}, nil
		}
		switch value.(type) {
		case int, string: // which need no JSON to get across
			return value, nil
		}
		return map[string]any{"value": value}, nil
	}
}

func stringArg(args []any, i int) string {
	if i >= len(args) {
		return ""
	}
	text, _ := args[i].(string)
	return text
}

func floatArg(args []any, i int) float64 {
	if i >= len(args) {
		return 0
	}
	n, _ := number(args[i])
	return n
}

// intArg cuts off what does not fit, so that an absurd number stays one.
func intArg(args []any, i int) int {
	return int(max(math.MinInt32, min(math.MaxInt32, floatArg(args, i))))
}
