// SPDX-License-Identifier: GPL-3.0-or-later

package manager

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/google/uuid"

	"flamenco.farm/internal/event"
	"flamenco.farm/internal/export"
	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/operation"
	"flamenco.farm/internal/store"
)

// kindImportFarm is the operation that replaces the farm by an export.
const kindImportFarm = "import"

// uploadFolder is where exports are in the local storage that were sent to be imported.
const uploadFolder = "imports"

// importFarmParams name the file: Upload is one in the uploadFolder, which is removed in the end, File any other.
type importFarmParams struct {
	Upload string `json:"upload,omitempty"`
	File   string `json:"file,omitempty"`
	Erase  string `json:"erase,omitempty"` // id of the farm whose contents may go
}

func readImportFarmParams(params json.RawMessage) (importFarmParams, error) {
	p, err := readParams[importFarmParams](params)
	switch {
	case err != nil:
	case (p.Upload == "") == (p.File == ""):
		err = farm.Errorf(farm.CodeInvalid, "params: one of upload and file is needed")
	case p.Upload != "" && uuid.Validate(p.Upload) != nil:
		err = farm.Errorf(farm.CodeInvalid, "params.upload: %.100q is not a valid ID", p.Upload)
	case p.File != "" && !filepath.IsAbs(p.File):
		err = farm.Errorf(farm.CodeInvalid, "params.file: %q is not an absolute path", p.File)
	}
	return p, err
}

// importFarmKind is an operation that runs once: whether it may run again, after a crash, is for people to say.
func importFarmKind(db *store.Store, local *os.Root, command string) operation.Kind {
	return operation.Kind{
		Name:          kindImportFarm,
		Once:          true,
		InMaintenance: true,
		Local:         true,
		Locks: func(params json.RawMessage) ([]string, error) {
			_, err := readImportFarmParams(params)
			return []string{kindImportFarm}, err
		},
		Run: func(ctx context.Context, env *operation.Env, params json.RawMessage) (err error) {
			p, err := readImportFarmParams(params)
			if err != nil {
				return err
			}
			var file *os.File
			if p.Upload != "" {
				name := path.Join(uploadFolder, p.Upload)
				defer func() { err = errors.Join(err, local.Remove(name)) }()
				file, err = local.Open(name)
			} else {
				file, err = os.Open(p.File)
			}
			if err != nil {
				return farm.Errorf(farm.CodeInvalid, "the file cannot be opened: %v", err)
			}
			defer func() { err = errors.Join(err, file.Close()) }()
			return importFarm(ctx, env, db, file, guard{db: db, erase: p.Erase, command: command})
		},
	}
}

// importFarm replaces the farm by what is in the file.
func importFarm(ctx context.Context, env *operation.Env, db *store.Store, file *os.File, g guard) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if err := g.look(ctx); err != nil {
		return err
	}
	r, err := export.NewReader(bufio.NewReaderSize(file, 1<<20))
	if err != nil {
		return err
	}
	defer r.Close()
	h := r.Header()
	env.Log.Info("importing", "farm", h.Farm, "exported", h.Exported, "by", h.Flamenco, "from", h.Engine, "bytes", info.Size())
	source := &telling{Reader: r}
	err = db.Import(ctx, store.Import{
		Schema: h.Schema, Rows: source,
		Allow: func(tx *store.Tx) error {
			if err := env.Holds(tx); err != nil {
				return err
			}
			err := g.allow(tx, env.ID())
			env.Step("the farm is about to be replaced")
			return err
		},
		Step: func(activity string) {
			env.Log.Info(activity)
			source.tell = func(read int64) { env.Progress(activity+" (bytes of the file)", read, info.Size()) }
			env.Progress(activity, 0, 0)
			env.Step(activity)
		},
	})
	if err != nil {
		return err
	}
	rows := r.Rows()
	env.Progress(fmt.Sprintf("%d jobs, %d tasks and %d workers imported. Files, such as task logs and pictures, are not in an export: "+
		"they have to be copied", rows["jobs"], rows["tasks"], rows["workers"]), 0, 0)
	return nil
}

// telling tells how much of the file is read.
type telling struct {
	*export.Reader
	rows int
	tell func(read int64)
}

// NextRow implements store.RowSource.
func (t *telling) NextRow() ([]any, bool, error) {
	if t.rows++; t.rows%1000 == 0 {
		t.tell(t.Consumed())
	}
	return t.Reader.NextRow()
}

// guard knows when a farm may be replaced.
type guard struct {
	db    *store.Store
	erase string // id of the farm whose contents may go
	// command is what the process of a command is called among the Managers: if no other is there, none needs to be in
	// maintenance. "" = a Manager does this.
	command string
}

// look refuses early what allow would refuse in the end.
func (g guard) look(ctx context.Context) error {
	m, err := g.db.Maintenance(ctx)
	if err != nil {
		return err
	}
	managers, err := g.db.Managers(ctx)
	if err != nil {
		return err
	}
	if err := g.inMaintenance(m, managers); err != nil {
		return err
	}
	contents, err := g.db.FarmContents(ctx)
	if err != nil {
		return err
	}
	return g.mayErase(ctx, contents)
}

// allow decides, in the transaction that replaces the farm.
func (g guard) allow(tx *store.Tx, operationID string) error {
	m, err := tx.Maintenance()
	if err != nil {
		return err
	}
	managers, err := tx.Managers()
	if err != nil {
		return err
	}
	if err := g.inMaintenance(m, managers); err != nil {
		return err
	}
	running, err := tx.RunningOperations()
	if err != nil {
		return err
	}
	for _, o := range running {
		if o.ID != operationID {
			return farm.Errorf(farm.CodeConflict, "the operation %s (%s) runs: wait for its end or cancel it, then import again", o.Kind, o.ID)
		}
	}
	contents, err := tx.FarmContents()
	if err != nil {
		return err
	}
	if err := g.mayErase(context.Background(), contents); err != nil {
		return err
	}
	return tx.CancelQueuedOperations("canceled: the farm was replaced by an import")
}

func (g guard) inMaintenance(m farm.Maintenance, managers []farm.ManagerState) error {
	there := func(s farm.ManagerState) bool { return s.State != farm.ManagerGone && s.ID != g.command }
	if g.command != "" && !slices.ContainsFunc(managers, there) {
		return nil
	}
	if !m.On {
		return farm.Errorf(farm.CodeConflict, "the farm has to be in maintenance before it is replaced")
	}
	if late := m.Awaits(managers); len(late) > 0 {
		return farm.Errorf(farm.CodeConflict, "the Manager on %s is not in maintenance yet: try again in a moment", late[0].Name)
	}
	return nil
}

func (g guard) mayErase(ctx context.Context, contents string) error {
	if contents == "" {
		return nil
	}
	id, err := g.db.FarmID(ctx)
	switch {
	case err != nil:
		return err
	case g.erase == "":
		return farm.Errorf(farm.CodeConflict, "the farm is not empty: it has %s; they are lost unless they were exported. To erase them, confirm "+
			"it with the identifier of the farm, %s", contents, id)
	case g.erase != id:
		return farm.Errorf(farm.CodeConflict, "what may be erased is the farm %.100s, and this is the farm %s", g.erase, id)
	}
	return nil
}

// maxUpload is how large an export may be that is sent to the Manager, in bytes.
const maxUpload = 256 << 30

// farmImports takes exports that are sent to the Manager.
type farmImports struct {
	db     *store.Store
	local  *os.Root
	folder string // the local storage
	start  func(ctx context.Context, kind string, params any, who string) (farm.Operation, error)
}

// Import takes an export, checks it to its end, and starts the operation that imports it. erase is the id of the farm
// whose contents may go.
func (i farmImports) Import(ctx context.Context, body io.Reader, erase string) (o farm.Operation, err error) {
	if err := (guard{db: i.db, erase: erase}).look(ctx); err != nil {
		return o, err
	}
	id := uuid.NewString()
	name := path.Join(uploadFolder, id)
	if err := i.store(name, body); err != nil {
		return o, errors.Join(err, removeIfThere(i.local, name))
	}
	o, err = i.start(ctx, kindImportFarm, importFarmParams{Upload: id, Erase: erase}, "user")
	if err != nil {
		return o, errors.Join(err, removeIfThere(i.local, name))
	}
	return o, nil
}

// store writes an export to a file that only its owner can read, and checks it while it comes in.
func (i farmImports) store(name string, body io.Reader) error {
	if err := i.local.Mkdir(uploadFolder, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	file, err := i.local.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, _, err = export.Verify(io.TeeReader(body, &spool{file: file, folder: i.folder}))
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// spool writes to a file while the disk has room.
type spool struct {
	file     *os.File
	folder   string
	n, check int64 // bytes written, and when to look at the disk again
}

const spoolStep = 16 << 20

// Write implements io.Writer.
func (s *spool) Write(p []byte) (int, error) {
	if s.n += int64(len(p)); s.n > maxUpload {
		return 0, farm.Errorf(farm.CodeTooLarge, "the file is larger than %d GiB", maxUpload>>30)
	}
	if s.n > s.check {
		if err := store.NeedSpace(s.folder, spoolStep); err != nil {
			return 0, err
		}
		s.check = s.n + spoolStep
	}
	n, err := s.file.Write(p)
	if err != nil {
		err = fmt.Errorf("%w: %w", farm.Errorf(farm.CodeStorage, "the file cannot be stored: %v", err), err)
	}
	return n, err
}

func removeIfThere(folder *os.Root, name string) error {
	if err := folder.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// afterImport forgets what is remembered of the farm each time that anything in it may have changed.
func afterImport(bus *event.Bus, forget ...func()) func(context.Context) error {
	return func(ctx context.Context) error {
		sub := bus.Subscribe(func(c farm.Change) bool { return c.Kind == farm.ChangeRefresh && c.JobID == "" && !c.Heard })
		defer sub.Close()
		for {
			select {
			case <-sub.C:
			case <-ctx.Done():
				return ctx.Err()
			}
			for _, f := range forget {
				f()
			}
		}
	}
}
