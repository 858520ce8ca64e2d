package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/moby/sys/atomicwriter"

	"bookshelf/infra/backup"
	"bookshelf/infra/environment"
	"bookshelf/infra/scratch"
	"bookshelf/infra/traffic"
)

// RestoreResult is what Restore did. Its JSON form is what `deliver restore --json` prints.
type RestoreResult struct {
	Environment string `json:"environment"`
	// Backup is where it began, To what was asked for.
	Backup string `json:"backup"`
	To     string `json:"to"`
	// Volume holds the database now; Former did before and is kept.
	Volume string `json:"volume"`
	Former string `json:"former"`
	// Content is what the database held when it was swapped in, Newest the time of its newest row.
	Content backup.Content `json:"content"`
	Newest  *time.Time     `json:"newest,omitempty"`
	// SwapSeconds is how long the swap took, in which the database was away for at most that long; Seconds the whole restore.
	SwapSeconds float64 `json:"swap_seconds"`
	Seconds     float64 `json:"seconds"`
}

// restoring is what a restore notes before it begins, so that the next run knows what one that was killed has left.
type restoring struct {
	Volume string `json:"volume"` // the last part of its name
}

// Restore returns an environment's database to a moment: LATEST, a time, the label of a backup, or the restore point of a release. It is
// restored beside the environment first, and checked; only then does it take the place of the one that there is, whose volume is kept. The
// note of which volume holds the data is the point of no return: a run that is killed before it leaves the environment as it was, one that
// is killed after it is completed by the next Up or Restore.
func (o *Operator) Restore(ctx context.Context, name, to string, log io.Writer) (RestoreResult, error) {
	began := time.Now()
	s, unlock, err := o.reopen(ctx, name, "restore")
	if err != nil {
		return RestoreResult{}, err
	}
	defer unlock()
	if err := s.settleRelease(ctx); err != nil {
		return RestoreResult{}, err
	}
	if err := s.settleRestore(ctx); err != nil {
		return RestoreResult{}, err
	}
	data, err := environment.ReadData(s.Layout.State, name)
	if err != nil {
		return RestoreResult{}, err
	}
	fresh := environment.RestoredVolume(newID())
	beside, err := s.scratch("restore", s.env.Part(fresh), log)
	if err != nil {
		return RestoreResult{}, err
	}
	if err := s.noteRestoring(restoring{Volume: fresh}); err != nil {
		return RestoreResult{}, err
	}
	result := RestoreResult{Environment: name, To: to, Volume: s.env.Part(fresh), Former: s.env.Part(data.Volume)}
	trial := scratch.New(s.Platform, beside)
	if err := s.prepareRestored(ctx, trial, to, &result); err != nil {
		err = errors.Join(err, trial.Clear(context.WithoutCancel(ctx), false), s.forgetRestoring())
		return RestoreResult{}, err
	}
	if err := s.swapIn(ctx, data, fresh, &result); err != nil {
		return RestoreResult{}, err
	}
	// The backups from before may lead to what has just been left: nothing that is written from here on can be recovered from those.
	s.Report.Note("%s serves again; taking a backup of what it has now", name)
	if _, err := s.backup.Take(ctx, backup.Differential); err != nil {
		s.Report.Note("that failed, and the schedule will try again: %v", err)
	}
	result.Seconds = time.Since(began).Seconds()
	return result, nil
}

// prepareRestored restores the database on trial and checks it; nothing of the environment is changed.
func (s *session) prepareRestored(ctx context.Context, trial *scratch.Scratch, to string, result *RestoreResult) error {
	system, err := s.system(ctx)
	running := err == nil
	if running {
		// So that LATEST is what is there now, and not what was archived a minute ago.
		if err := s.backup.Check(ctx); err != nil {
			s.Report.Note("what was written last does not reach the backups, and will not be in the restored database: %v", err)
		}
	}
	if err := trial.Clear(ctx, false); err != nil {
		return err
	}
	if err := trial.Open(ctx); err != nil {
		return err
	}
	backups, err := trial.Backups(ctx)
	if err != nil {
		return err
	}
	chosen, target, err := scratch.Find(to, backups)
	if err != nil {
		return &UsageError{Problem: err.Error()}
	}
	result.Backup = chosen.Label
	s.Report.Note("restoring backup %s of %d MB", chosen.Label, chosen.DatabaseBytes/1_000_000)
	if err := trial.Restore(ctx, chosen.Label); err != nil {
		return err
	}
	s.Report.Note("recovering to %s", to)
	if err := trial.Start(ctx, target); err != nil {
		return err
	}
	if err := trial.Adopt(ctx); err != nil {
		return err
	}
	s.Report.Note("checking it")
	if result.Content, err = trial.Content(ctx); err != nil {
		return err
	}
	result.Newest = result.Content.Newest()
	if err := acceptable(result.Content, system, chosen.Marker, target); err != nil {
		return err
	}
	if err := trial.Try(ctx, s.slots.LiveSlot(), s.config.Service.Smoke); err != nil {
		return err
	}
	s.Report.Note("it holds %d rows in %d tables, and %s serves with it", result.Content.Rows(), len(result.Content.Tables), s.slots.LiveSlot().Image)
	return trial.Stop(ctx)
}

// acceptable says what keeps a restored database from taking the place of the environment's.
func acceptable(content backup.Content, system string, marker *backup.Marker, target scratch.Target) error {
	if system != "" && content.System != system {
		return fmt.Errorf("the backup is of another database: its cluster is %s, not %s", content.System, system)
	}
	if len(content.Tables) == 0 {
		return errors.New("the restored database holds no table")
	}
	if marker == nil || target.Point != marker.Name {
		return nil
	}
	hashes := map[string]string{}
	for _, table := range content.Tables {
		hashes[table.Name] = table.Hash
	}
	for _, table := range marker.Tables {
		if hashes[table.Name] != table.Hash {
			return fmt.Errorf("%s is not as it was backed up", table.Name)
		}
	}
	return nil
}

// swapIn puts the restored volume in the place of the one that there is. If the database does not come up on it, the former one is back.
func (s *session) swapIn(ctx context.Context, data environment.Data, fresh string, result *RestoreResult) error {
	s.Report.Note("swapping it in; requests that need the database are answered with 503 meanwhile")
	began := time.Now()
	if err := environment.WriteData(s.Layout.State, s.name, data.Replaced(fresh)); err != nil {
		return err
	}
	err := s.Converge(ctx)
	if err == nil {
		result.SwapSeconds = time.Since(began).Seconds()
		err = traffic.Direct(ctx, s.edge, s.slots)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted in the middle of the swap: `deliver up -e %s` completes it: %w", s.name, ctx.Err())
	}
	if err == nil {
		return s.forgetRestoring()
	}
	s.Report.Note("failed: %v", err)
	s.Report.Note("going back to the former volume")
	back := environment.Data{Volume: data.Volume, Former: data.Former, Forgotten: append(data.Forgotten, fresh)}
	if err := errors.Join(environment.WriteData(s.Layout.State, s.name, back), s.forgetRestoring(), s.Converge(ctx)); err != nil {
		return needsPerson("the restored database did not come up, and neither did the former one: %w", err)
	}
	return fmt.Errorf("%w\nthe former database is back", err)
}

// ForgetFormer removes the volumes that restores have left, and returns their names.
func (o *Operator) ForgetFormer(ctx context.Context, name string) ([]string, error) {
	s, unlock, err := o.reopen(ctx, name, "restore --forget")
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := s.settleRelease(ctx); err != nil {
		return nil, err
	}
	data, err := environment.ReadData(s.Layout.State, name)
	if err != nil {
		return nil, err
	}
	removed := []string{}
	for _, volume := range append(data.Forgotten, data.Former...) {
		removed = append(removed, s.env.Part(volume))
	}
	if err := environment.WriteData(s.Layout.State, name, data.WithoutFormer()); err != nil {
		return nil, err
	}
	return removed, s.Converge(ctx)
}

// settleRestore clears away what a restore that was killed has left. Past the point of no return there is nothing to clear: whoever
// converges completes it.
func (s *session) settleRestore(ctx context.Context) error {
	content, err := os.ReadFile(s.Layout.RestoreFile(s.name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var left restoring
	if err == nil {
		err = json.Unmarshal(content, &left)
	}
	if err != nil {
		return fmt.Errorf("read what a restore has left: %w", err)
	}
	data, err := environment.ReadData(s.Layout.State, s.name)
	if err != nil {
		return err
	}
	swapped := data.Volume == left.Volume
	if !swapped {
		s.Report.Note("a restore was cut short: clearing away what it left")
	}
	beside, err := s.scratch("restore", s.env.Part(left.Volume), io.Discard)
	if err != nil {
		return err
	}
	trial := scratch.New(s.Platform, beside)
	if err := trial.Clear(ctx, swapped); err != nil {
		return err
	}
	return s.forgetRestoring()
}

func (s *session) noteRestoring(r restoring) error {
	content, err := json.Marshal(r)
	if err == nil {
		err = atomicwriter.WriteFile(s.Layout.RestoreFile(s.name), content, 0o600)
	}
	if err != nil {
		return fmt.Errorf("note the restore: %w", err)
	}
	return nil
}

func (s *session) forgetRestoring() error {
	if err := os.Remove(s.Layout.RestoreFile(s.name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget the restore: %w", err)
	}
	return nil
}

// releaseForgotten lets the stack drop the volumes that are to be forgotten, which it holds protected. The program protects the others again.
func (s *session) releaseForgotten(ctx context.Context, data environment.Data) error {
	if len(data.Forgotten) == 0 {
		return nil
	}
	return s.stack.Unprotect(ctx)
}

// removeForgotten removes them, once the stack is without them.
func (s *session) removeForgotten(ctx context.Context, data environment.Data) error {
	for _, volume := range data.Forgotten {
		if err := s.Platform.RemoveVolume(ctx, s.env.Part(volume)); err != nil {
			return err
		}
		s.Report.Note("removed volume %s", s.env.Part(volume))
	}
	if len(data.Forgotten) == 0 {
		return nil
	}
	data.Forgotten = nil
	return environment.WriteData(s.Layout.State, s.name, data)
}
