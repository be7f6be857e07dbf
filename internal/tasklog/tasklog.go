// SPDX-License-Identifier: GPL-3.0-or-later

// Package tasklog owns the logs of tasks: one for each attempt, in text files under the Manager's local storage or in objects
// of a blob.Store. It appends, never twice the same chunk, limits how long a log gets, compresses those that are finished,
// and reads them, compressed or not. It must not know what the lines mean nor who may see them.
package tasklog

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"flamenco.farm/internal/blob"
	"flamenco.farm/internal/farm"
)

// Newest stands for the generation of the newest attempt that has a log.
const Newest = -1

// idLength is the length of a UUID in text.
const idLength = 36

// Store keeps the logs of tasks. Those of a task are changed by one call at a time.
type Store struct {
	place backend
	older *files // from before, read when place has no log; nil = there are none
	codec
	maxSize int64  // of a log
	queue   *queue // of logs that could be compressed
	hear    func(id farm.LogID, text string)
}

// backend is how logs are kept. What it is asked for has been checked.
type backend interface {
	// append adds text to a log unless what follows its first since bytes holds it; a negative since adds it in any case.
	append(id farm.LogID, since int64, text string) (size int64, err error)
	// open opens a log, whose generation may be Newest; farm.ErrNotExist if there is none.
	open(id farm.LogID) (*Log, error)
	// stat is the sizes and paths of those of the logs that there are.
	stat(jobID, taskID string, generations []int64) (map[int64]Info, error)
	// ended hears that nothing more is to be expected for a log.
	ended(id farm.LogID)
	// pack compresses a log that was said to be finished.
	pack(ctx context.Context, file logFile) error
	packJob(ctx context.Context, jobID string) error
	pruneJob(ctx context.Context, jobID string) error
	// closeUnused frees what is kept open and was not used since.
	closeUnused(since time.Time)
	close() error
}

// codec compresses and reads what is compressed. It is safe for concurrent use.
type codec struct {
	encoder *zstd.Encoder
	decoder *zstd.Decoder
}

func newCodec() (codec, error) {
	encoder, encoderErr := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(frameSize))
	decoder, decoderErr := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(frameSize))
	if err := errors.Join(encoderErr, decoderErr); err != nil {
		return codec{}, fmt.Errorf("tasklog: %w", err)
	}
	return codec{encoder: encoder, decoder: decoder}, nil
}

// Options is where a Store keeps its logs.
type Options struct {
	// Folder is where files are, which is made if it is missing.
	Folder string
	// Blobs keeps logs as objects instead, which any number of Managers may write and read at once; nil = in files. Logs that are
	// in files from before are read as well, and compressed in time.
	Blobs blob.Store
	// Shared says that several Managers may use the folder at once, on the same machine or over a network file system. One that
	// does not know locks is an error then.
	Shared bool
	// MaxSize is from how many bytes on a log loses its middle; 0 = the default.
	MaxSize int64
}

// New opens the logs. Close frees the Store.
func New(o Options) (*Store, error) {
	s, err := newStore(o.MaxSize)
	if err != nil {
		return nil, err
	}
	inFiles, err := s.files(o.Folder, o.Shared)
	if err != nil {
		return nil, errors.Join(err, s.closeCodec())
	}
	s.place = inFiles
	if o.Blobs != nil {
		s.place, s.older = newObjects(o.Blobs, s.codec, s.maxSize, s.heard, s.finished), inFiles
	}
	return s, nil
}

func newStore(maxSize int64) (*Store, error) {
	if maxSize == 0 {
		maxSize = DefaultMaxSize
	}
	codec, err := newCodec()
	return &Store{codec: codec, maxSize: maxSize, queue: newQueue(), hear: func(farm.LogID, string) {}}, err
}

func (s *Store) files(folder string, several bool) (*files, error) {
	f, err := newFiles(folder, s.maxSize, s.codec, s.heard, s.finished)
	if err != nil || !several {
		return f, err
	}
	if f.others, err = newShared(f.root.top); err != nil {
		return nil, errors.Join(err, f.root.Close())
	}
	f.logs.max = 0 // another Manager may give a log another name
	return f, nil
}

// OnAppend lets hear know, in order and exactly once, what is appended to each log. It must not block, and is to be set
// before anything is written.
func (s *Store) OnAppend(hear func(id farm.LogID, text string)) { s.hear = hear }

func (s *Store) heard(id farm.LogID, text string) { s.hear(id, text) }

// Close frees what is open; nothing may be called after it.
func (s *Store) Close() error {
	err := errors.Join(s.place.close(), s.closeCodec())
	if s.older != nil {
		err = errors.Join(err, s.older.close())
	}
	return err
}

func (s *Store) closeCodec() error {
	s.decoder.Close()
	return s.encoder.Close()
}

// AppendChunk appends text to the log of an attempt unless what follows its first since bytes already holds it, so that a
// chunk whose acknowledgement was lost is kept once. A negative since appends in any case. It returns the new size, which
// counts what the log lost for its length. A storage that is full or failing is an error of code farm.CodeStorage; of the
// chunk nothing is left behind then, or all of it.
func (s *Store) AppendChunk(id farm.LogID, since int64, text string) (int64, error) {
	if err := checkIDs(id.JobID, id.TaskID); err != nil {
		return 0, err
	}
	place, err := s.home(id)
	if err != nil {
		return 0, lockedOr(err)
	}
	return place.append(id, since, text)
}

// home is where the log of an attempt is written: one that was begun in files ends there, as the sizes of what was kept of it
// and what follows are of one log.
func (s *Store) home(id farm.LogID) (backend, error) {
	if s.older == nil {
		return s.place, nil
	}
	begun, err := s.older.has(id)
	if begun {
		return s.older, err
	}
	return s.place, err
}

// AppendLine appends a line of the Manager itself to the log of an attempt, stamped with the time. Line breaks inside
// become spaces.
func (s *Store) AppendLine(id farm.LogID, line string) error {
	line = strings.NewReplacer("\r\n", " ", "\n", " ", "\r", " ").Replace(strings.TrimRight(line, "\r\n"))
	_, err := s.AppendChunk(id, -1, time.Now().UTC().Format(time.RFC3339)+" "+line+"\n")
	return err
}

// PackJob compresses all logs of a job, and removes what a crash left half written.
func (s *Store) PackJob(ctx context.Context, jobID string) error {
	return s.eachPlace(jobID, func(b backend) error { return b.packJob(ctx, jobID) })
}

// PruneJob removes the logs of a job except those of the newest attempts.
func (s *Store) PruneJob(ctx context.Context, jobID string) error {
	return s.eachPlace(jobID, func(b backend) error { return b.pruneJob(ctx, jobID) })
}

func (s *Store) eachPlace(jobID string, do func(backend) error) error {
	err := checkIDs(jobID)
	if err == nil {
		err = do(s.place)
	}
	if err == nil && s.older != nil {
		err = do(s.older)
	}
	return err
}

// Folder is where the files of a job are inside the folder. The level of first characters keeps folders short to list.
func Folder(jobID string) string {
	return path.Join("job-"+jobID[:min(4, len(jobID))], jobID)
}

// Path is where the log of the newest attempt of a task is inside the folder, with slashes on every platform. There it can
// be read even if it is compressed.
func Path(jobID, taskID string) string {
	return path.Join(Folder(jobID), "task-"+taskID+".txt")
}

// attemptPath is where the log of an attempt is that is not the newest any more.
func attemptPath(id farm.LogID) string {
	return path.Join(Folder(id.JobID), fmt.Sprintf("task-%s.%d.txt", id.TaskID, id.Generation))
}

// markerPath is the file that says of which attempt the newest log is.
func markerPath(id farm.LogID) string {
	return path.Join(Folder(id.JobID), "task-"+id.TaskID+".attempt")
}

const (
	packedSuffix    = ".zst"
	temporarySuffix = "~"
)

// ParsePath tells whose log has a path inside the folder; false if none can.
func ParsePath(name string) (farm.LogID, bool) {
	folder, file := path.Split(name)
	text, isLog := strings.CutPrefix(file, "task-")
	text, isText := strings.CutSuffix(text, ".txt")
	if !isLog || !isText {
		return farm.LogID{}, false
	}
	id := farm.LogID{JobID: path.Base(folder), Generation: Newest}
	var generation string
	var earlier bool
	id.TaskID, generation, earlier = strings.Cut(text, ".")
	if earlier {
		n, err := strconv.ParseInt(generation, 10, 64)
		if err != nil || n < 0 {
			return farm.LogID{}, false
		}
		id.Generation = n
	}
	if checkIDs(id.JobID, id.TaskID) != nil || (name != Path(id.JobID, id.TaskID) && name != attemptPath(id)) {
		return farm.LogID{}, false
	}
	return id, true
}

func storageError(err error) error {
	return fmt.Errorf("%w: %w", farm.Errorf(farm.CodeStorage, "the log of the task cannot be written"), err)
}

// lockedOr is storageError for what another Manager may keep locked, which says more.
func lockedOr(err error) error {
	if farm.CodeOf(err) == farm.CodeStorage {
		return err
	}
	return storageError(err)
}

// checkIDs refuses what is no UUID, so that the names of files are what they seem.
func checkIDs(ids ...string) error {
	for _, id := range ids {
		if len(id) != idLength || strings.Trim(id, "0123456789abcdefABCDEF-") != "" {
			return farm.Errorf(farm.CodeInvalid, "%q is not a valid ID", id)
		}
	}
	return nil
}
